"""The kernelspecs that kg2at offers: its own, in every size, beside whatever else is installed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import NATIVE_KERNEL_NAME, KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_client.provisioning import KernelProvisionerFactory
from traitlets import Bool, Dict, Instance, Unicode, default

from ..errors import KG2ATError, UnknownKernelSpec
from ..plural import counted
from ..spark.conf import SparkConf
from ..spark.master_url import local_cores
from ..spark.units import spark_size
from .launch.launcher import Launcher
from .launch.plan import Runtime
from .launch.runtimes import runtime_of
from .offers import Offer, Offers
from .user import GatewayUser

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

#: Stands for all administrators among the users of a profile.
ADMINS = "admins"


@dataclass(frozen=True)
class OwnSpec:
    """One of kg2at's kernelspecs: the directory of its template, the kind of its kernels, and its profile or ""."""

    template: Path
    kind: type[Runtime]
    profile: str


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
    offers = Instance(Offers)
    profile_users = Dict(help="Profile -> who may use it, of those that are not for all; ADMINS: the administrators.")
    default_name = Unicode(help="The kernel of those who name none, as of the last look.")

    @default("launcher")
    def _launcher_default(self) -> Launcher:
        return Launcher()

    @default("kernel_spec_class")
    def _kernel_spec_class_default(self) -> type[KernelSpec]:
        return PublicKernelSpec

    @default("offers")
    def _offers_default(self) -> Offers:
        return Offers(self.launcher)

    @default("default_name")
    def _default_name_default(self) -> str:
        return next((name for name in DEFAULT_KERNEL_NAMES if name in self.injected), NATIVE_KERNEL_NAME)

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shadowed: set[str] = set()

    @property
    def own(self) -> dict[str, OwnSpec]:
        """Return kg2at's kernelspecs by their names, offered or not; {} when injection is off."""
        names = dict(self._variants()) if self.inject else {}
        allowed = self.allowed_kernelspecs
        return {name: spec for name, spec in names.items() if not allowed or name in allowed}

    @property
    def injected(self) -> dict[str, OwnSpec]:
        """Return those of them that are offered, as of the last look. Blocking when there was none."""
        return {name: spec for name, spec in self.own.items() if self.offers.includes(spec.kind, spec.profile)}

    def why_unknown(self, warm_kernels: Iterable[str]) -> str:
        """Return a sentence about the names that are no kernelspecs of kg2at's; "" when all are."""
        unknown = ", ".join(repr(name) for name in warm_kernels if name.lower() not in self.own)
        known = ", ".join(self.own) or "none"
        return f"warm_kernels names {unknown}, but kg2at's kernelspecs are: {known}." if unknown else ""

    # Whom they are for.

    def is_open_to(self, user: GatewayUser | None, kernel_name: str) -> bool:
        """Return whether a kernelspec is there for this user, None being anybody; also True for one that is not."""
        own = self.own.get(kernel_name.lower())
        users = self.profile_users.get(own.profile) if own is not None else None
        return users is None or (user is not None and (user.is_admin or user.name in users - {ADMINS}))

    def check_open_to(self, user: GatewayUser, kernel_name: str) -> None:
        """Raise UnknownKernelSpec for a kernelspec that is not for this user."""
        if not self.is_open_to(user, kernel_name):
            raise self.unknown(kernel_name)

    def unknown(self, kernel_name: str) -> UnknownKernelSpec:
        """Return the error for a kernelspec that is not there; it names those that are for everybody."""
        names = ", ".join(sorted(name for name in self.find_kernel_specs() if self.is_open_to(None, name)))
        return UnknownKernelSpec(f"There is no kernelspec {kernel_name!r} here. There are: {names}.")

    def _variants(self) -> Iterator[tuple[str, OwnSpec]]:
        for template, interpreter in _templates():
            kind = runtime_of(interpreter)
            if kind is None:
                continue
            yield template.name, OwnSpec(template, kind, "")
            for profile in self.launcher.profiles:
                yield f"{template.name}_{profile}".lower(), OwnSpec(template, kind, profile)

    def find_kernel_specs(self) -> dict[str, str]:
        """Return kernel name -> resource directory, kg2at's own before installed ones of the same name."""
        installed = super().find_kernel_specs()
        injected = {name: str(spec.template) for name, spec in self.injected.items()}
        for name in (installed.keys() & injected.keys()) - self._shadowed:
            self._shadowed.add(name)
            self.log.info("kg2at's kernelspec %s is used instead of the one in %s", name, installed[name])
        return installed | injected

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the spec that is launched. Reads no Spark configuration; raises NoSuchKernel.

        One of kg2at's own that is not offered is there, too: its launch looks again, and says why it can't be.
        """
        own = self.own.get(kernel_name.lower())
        if own is None:
            return super().get_kernel_spec(kernel_name)
        spec = self.kernel_spec_class.from_resource_dir(str(own.template))
        if not KernelProvisionerFactory.instance(parent=self.parent).is_provisioner_available(spec):
            raise NoSuchKernel(kernel_name)
        spec.metadata["kg2at"]["profile"] = own.profile
        return spec

    def get_all_specs(self) -> dict[str, Any]:
        """Return all specs as clients see them, with what the cluster gives a kernel. Blocking: reads Spark's files."""
        found = {profile: self._look(profile) for profile in {spec.profile for spec in self.own.values()}}
        self.set_trait("default_name", self._default_name_default())
        specs = super().get_all_specs()
        for name, own in self.injected.items():
            if name in specs:
                self._describe(specs[name]["spec"], own, found[own.profile])
        return specs

    def public_spec(self, kernel_name: str) -> dict[str, Any]:
        """Return one spec as clients see it. Blocking. Raises NoSuchKernel."""
        own = self.own.get(kernel_name.lower())
        spec = self.get_kernel_spec(kernel_name).to_dict()
        if own is not None:
            self._describe(spec, own, self._look(own.profile))
            if not self.offers.includes(own.kind, own.profile):
                raise NoSuchKernel(kernel_name)
        return spec

    def _look(self, profile: str) -> Offer:
        found = self.offers.look(profile)
        if isinstance(found.conf, KG2ATError):
            self.log.error("%s", found.conf)
        return found

    def _describe(self, spec: dict[str, Any], own: OwnSpec, offer: Offer) -> None:
        """Say in `display_name` and `metadata.kg2at` what a kernel of this spec gets."""
        about: dict[str, Any] = {"interpreter": spec["metadata"]["kg2at"]["interpreter"], "profile": own.profile}
        if isinstance(offer.conf, KG2ATError):
            about["error"] = str(offer.conf)
        else:
            about |= sizes(offer.conf) | _versions(own.kind, offer)
        spec["metadata"] = spec["metadata"] | {"kg2at": about}
        if own.profile:
            spec["display_name"] += f" ({_size_label(own.profile, about.get('cores'))})"


@cache
def _templates() -> tuple[tuple[Path, str], ...]:
    """Return the directories of the specs that come with kg2at, and the language of each."""
    found = [(path.parent, json.loads(path.read_text("utf-8"))) for path in sorted(TEMPLATES.glob("*/kernel.json"))]
    return tuple((folder, spec["metadata"]["kg2at"]["interpreter"]) for folder, spec in found)


def _versions(kind: type[Runtime], offer: Offer) -> dict[str, str]:
    """Return the versions of Spark and of what runs such kernels, or why there is none."""
    runtime = offer.runtimes[kind]
    if isinstance(runtime, KG2ATError) or isinstance(offer.installation, KG2ATError):
        return {"error": str(runtime)}
    name, version = runtime.product
    return {"spark_version": offer.installation.spark.version, f"{name.lower()}_version": version}


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
