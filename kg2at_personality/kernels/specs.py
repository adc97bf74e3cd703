"""The kernelspecs that kg2at offers: its own, in every size, beside whatever else is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets import Bool, Instance, default

from ..errors import KG2ATError
from ..plural import counted
from ..spark.conf import SparkConf
from ..spark.master_url import local_cores
from ..spark.units import spark_size
from .launch.launcher import Launcher
from .launch.plan import Runtime
from .launch.runtimes import RUNTIMES, runtime_of

PACKAGE = Path(__file__).parents[1]
#: The templates. A wheel has the folder in the package; a checkout, and so an editable install, has it beside the
#: package (package_dir in setup.cfg).
TEMPLATES = (PACKAGE if (PACKAGE / "kernelspecs").is_dir() else PACKAGE.parent) / "kernelspecs"
#: The first of them that is offered is the default kernel.
DEFAULT_KERNEL_NAMES = ("apache_toree_scala", "spark_python")
#: jupyter_client's own rule for kernel names (kernelspec._kernel_name_pat).
PROFILE_NAME = re.compile(r"[A-Za-z0-9._-]+")
#: What of a foreign spec's metadata a client may see: provisioner stanzas can hold hosts and passwords.
PRIVATE_METADATA = frozenset({"kernel_provisioner", "process_proxy"})


class PublicKernelSpec(KernelSpec):
    """A kernelspec that keeps its command and environment to itself: clients get neither."""

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as `/api/kernelspecs` shows it. `argv` stays a list, since JupyterLab insists on one."""
        metadata = {key: value for key, value in self.metadata.items() if key not in PRIVATE_METADATA}
        return super().to_dict() | {"argv": [], "env": {}, "metadata": metadata}


class SparkKernelSpecManager(KernelSpecManager):
    """Adds kg2at's kernelspecs, plain and in each profile, to the installed ones."""

    inject = Bool(True, help="Whether kg2at's kernelspecs are offered at all.")
    launcher = Instance(Launcher)

    @default("launcher")
    def _launcher_default(self) -> Launcher:
        return Launcher()

    @default("kernel_spec_class")
    def _kernel_spec_class_default(self) -> type[KernelSpec]:
        return PublicKernelSpec

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shadowed: set[str] = set()
        self._runtimes: dict[type[Runtime], Runtime | KG2ATError] | None = None

    @property
    def injected(self) -> dict[str, tuple[Path, str]]:
        """Return kernel name -> (template directory, profile); {} when injection is off."""
        names = dict(self._variants()) if self.inject else {}
        allowed = self.allowed_kernelspecs
        return {name: at for name, at in names.items() if not allowed or name in allowed}

    @property
    def default_name(self) -> str:
        """Return the kernel of those who name none."""
        return next((name for name in DEFAULT_KERNEL_NAMES if name in self.injected), NATIVE_KERNEL_NAME)

    def _variants(self) -> Iterator[tuple[str, tuple[Path, str]]]:
        for template, interpreter in _templates():
            if not self._offers(interpreter):
                continue
            yield template.name, (template, "")
            for profile in self.launcher.profiles:
                yield f"{template.name}_{profile}".lower(), (template, profile)

    def find_kernel_specs(self) -> dict[str, str]:
        """Return kernel name -> resource directory, kg2at's own before installed ones of the same name."""
        installed = super().find_kernel_specs()
        injected = {name: str(template) for name, (template, _) in self.injected.items()}
        for name in (installed.keys() & injected.keys()) - self._shadowed:
            self._shadowed.add(name)
            self.log.info("kg2at's kernelspec %s is used instead of the one in %s", name, installed[name])
        return installed | injected

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the spec that is launched. Reads no Spark configuration; raises NoSuchKernel."""
        at = self.injected.get(kernel_name.lower())
        if at is None:
            return super().get_kernel_spec(kernel_name)
        template, profile = at
        spec = self.kernel_spec_class.from_resource_dir(str(template))
        if not KernelProvisionerFactory.instance(parent=self.parent).is_provisioner_available(spec):
            raise NoSuchKernel(kernel_name)
        spec.metadata["kg2at"]["profile"] = profile
        return spec

    def get_all_specs(self) -> dict[str, Any]:
        """Return all specs as clients see them, with what the cluster gives a kernel. Blocking: reads Spark's files."""
        self.refresh()
        specs = super().get_all_specs()
        confs: dict[str, SparkConf | KG2ATError] = {}
        for name, (_, profile) in self.injected.items():
            if name in specs:
                if profile not in confs:
                    confs[profile] = self._conf(profile)
                self._describe(specs[name]["spec"], profile, confs[profile])
        return specs

    def public_spec(self, kernel_name: str) -> dict[str, Any]:
        """Return one spec as clients see it. Blocking. Raises NoSuchKernel."""
        spec = self.get_kernel_spec(kernel_name).to_dict()
        if kernel_name.lower() in self.injected:
            _, profile = self.injected[kernel_name.lower()]
            self._describe(spec, profile, self._conf(profile))
        return spec

    def _offers(self, interpreter: str) -> bool:
        """Return whether there is what runs such notebooks. Where nothing is, Toree's specs stay and say why."""
        kind, found = runtime_of(interpreter), self.runtimes
        return kind is not None and (isinstance(found.get(kind), Runtime) or (kind.is_toree and not any_found(found)))

    @property
    def runtimes(self) -> dict[type[Runtime], Runtime | KG2ATError]:
        """Return each kind of kernel with what was found to run it when the specs were last listed, or why none was."""
        if self._runtimes is None:
            self.refresh()
        return self._runtimes or {}

    def refresh(self) -> None:
        """Look again at what is installed. Blocking: reads Spark's files."""
        conf = self._conf("")
        if isinstance(conf, SparkConf):
            try:
                self._runtimes = {**self.launcher.runtimes(conf)}
            except KG2ATError as error:
                self._runtimes = dict.fromkeys(RUNTIMES, error)
        elif self._runtimes is None:
            self._runtimes = dict.fromkeys(RUNTIMES, conf)

    def _conf(self, profile: str) -> SparkConf | KG2ATError:
        try:
            return self.launcher.conf(profile)
        except KG2ATError as error:
            self.log.error("%s", error)
            return error

    def _describe(self, spec: dict[str, Any], profile: str, conf: SparkConf | KG2ATError) -> None:
        """Say in `display_name` and `metadata.kg2at` what a kernel of this spec gets."""
        about: dict[str, Any] = {"interpreter": spec["metadata"]["kg2at"]["interpreter"], "profile": profile}
        if isinstance(conf, KG2ATError):
            about["error"] = str(conf)
        else:
            about |= sizes(conf) | self._versions(about["interpreter"], conf)
        spec["metadata"] = spec["metadata"] | {"kg2at": about}
        if profile:
            spec["display_name"] += f" ({_size_label(profile, about.get('cores'))})"

    def _versions(self, interpreter: str, conf: SparkConf) -> dict[str, str]:
        kind = runtime_of(interpreter)
        if kind is None:
            return {}
        try:
            found = self.launcher.finder.find(conf.environ)
            runtime = kind.find(self.launcher.finder, found, conf, self.launcher.options)
        except KG2ATError as error:
            return {"error": str(error)}
        name, version = runtime.product
        return {"spark_version": found.spark.version, f"{name.lower()}_version": version}


@cache
def _templates() -> tuple[tuple[Path, str], ...]:
    """Return the directories of the specs that come with kg2at, and the language of each."""
    found = [(path.parent, json.loads(path.read_text("utf-8"))) for path in sorted(TEMPLATES.glob("*/kernel.json"))]
    return tuple((folder, spec["metadata"]["kg2at"]["interpreter"]) for folder, spec in found)


def any_found(runtimes: Mapping[type[Runtime], Runtime | KG2ATError]) -> bool:
    """Return whether any kind of kernel can run."""
    return any(isinstance(found, Runtime) for found in runtimes.values())


def sizes(conf: SparkConf) -> dict[str, Any]:
    """Return what a kernel of this configuration asks for: `master`, `cores` (None: no limit), executor sizes.

    `executor_cores` is None where Spark gives an executor all the cores that are free on its worker.
    """
    executor_cores = conf.integer("spark.executor.cores", 0) or None
    return {
        "master": conf.master,
        "cores": local_cores(conf.master) or conf.integer("spark.cores.max", 0) or None,
        "executor_cores": executor_cores,
        "executor_memory": spark_size(conf.memory_mib("spark.executor.memory", 1024)),
    }


def _size_label(profile: str, cores: int | None) -> str:
    if not cores:
        return profile
    return f"{profile}, {counted(cores, 'core')}"
