"""The java command by which spark-submit runs a driver (SparkSubmitCommandBuilder of Spark's launcher), made here.

It has two differences: more jars after Spark's, and the configuration's directories after all jars.
"""

from __future__ import annotations

import functools
import os
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from subprocess import TimeoutExpired

from ..errors import InstallationError
from ..system.time_limits import run_within
from .conf_dir import conf_dir_of
from .installation import Installation
from .java_options import split

SUBMIT = "org.apache.spark.deploy.SparkSubmit"
#: Seconds that Spark's launcher may take; it takes 0.2 to 0.6.
LAUNCHER_LIMIT = 10.0
#: What changes the class path, or the order in which it is searched, in a way that is left to spark-submit.
_VARIABLES = ("SPARK_PREPEND_CLASSES", "SPARK_MEM", "SPARK_TESTING", "SPARK_SQL_TESTING")
_PROPERTIES = ("spark.driver.extraClassPath", "spark.driver.extraLibraryPath", "spark.driver.userClassPathFirst")
#: What bin/spark-submit does in Spark 2 and 3, line by line. A site may have put a script of its own in its place.
SCRIPT = (
    'if [ -z "${SPARK_HOME}" ]; then',
    'source "$(dirname "$0")"/find-spark-home',
    "fi",
    "export PYTHONHASHSEED=0",
    f'exec "${{SPARK_HOME}}"/bin/spark-class {SUBMIT} "$@"',
)


@dataclass(frozen=True)
class SubmitCommand:
    """What is the same in each command of one Spark and Java.

    `options` are those that Spark gives the JVM of each driver (JavaModuleOptions). `names` are the first segments of
    the names in Spark's jars.
    """

    installation: Installation
    options: tuple[str, ...]
    names: frozenset[str]

    def argv(self, jars: Sequence[str], memory: str, options: Sequence[str], env: Mapping[str, str]) -> list[str]:
        """Return the command, to which spark-submit's arguments are added.

        `jars` follow Spark's own, `memory` is as in -Xmx, `options` are the driver's. With an empty `env` there is no
        directory on the class path.
        """
        home = self.installation.spark.home
        places = [os.path.join(home, "jars", "*"), *jars, *(_directories(env) if env else ())]
        return [
            os.path.join(self.installation.java.home, "bin", "java"),
            *("-cp", os.pathsep.join(places)),
            *split(env.get("SPARK_SUBMIT_OPTS", "")),
            f"-Xmx{memory}",
            *options,
            *self.options,
            SUBMIT,
        ]

    def obstacle(self, env: Mapping[str, str], properties: Mapping[str, str], names: frozenset[str]) -> str:
        """Return what spark-submit has to be asked for, in words; "" for nothing.

        `names` are the first segments of those in the jars that follow Spark's.
        """
        for name in _VARIABLES:
            if env.get(name):
                return f"${name} is set"
        for key in _PROPERTIES:
            if properties.get(key, "false") != "false":
                return f"{key} is set"
        conf_dir = conf_dir_of(env)
        if os.path.exists(os.path.join(conf_dir, "java-opts")):
            return f"there is {conf_dir}/java-opts"
        script = Path(self.installation.spark.home, "bin", "spark-submit")
        if _lines(script) != SCRIPT:
            return f"{script} is not Spark's own"
        return self._shadowed(env, names)

    def _shadowed(self, env: Mapping[str, str], names: frozenset[str]) -> str:
        """Return which file of the configuration would be hidden by one of the same name in a jar, in words."""
        for folder in _directories(env):
            try:
                hidden = (self.names | names).intersection(os.listdir(folder))
            except OSError:
                continue  # it is a jar, or is not there
            if hidden:
                return f"{folder} has {sorted(hidden)[0]}, and so has a jar"
        return ""


def _lines(script: Path) -> tuple[str, ...]:
    """Return the lines of a script without comments and indentation; none when it can't be read."""
    try:
        lines = map(str.strip, script.read_text("latin-1").splitlines())
    except OSError:
        return ()
    return tuple(line for line in lines if line and not line.startswith("#"))


def _directories(env: Mapping[str, str]) -> list[str]:
    """Return the class path without jars of Spark's own, in the order of AbstractCommandBuilder.buildClassPath.

    A directory ends with a slash.
    """
    variables = (env.get(name, "") for name in ("HADOOP_CONF_DIR", "YARN_CONF_DIR", "SPARK_DIST_CLASSPATH"))
    places = [place for value in (conf_dir_of(env), *variables) for place in value.split(os.pathsep) if place]
    return list(dict.fromkeys(os.path.join(place, "") if os.path.isdir(place) else place for place in places))


@functools.lru_cache(maxsize=4)
def submit_command(installation: Installation) -> SubmitCommand:
    """Return what Spark's own launcher says. Blocking: 1 s at the first call. Raises InstallationError."""
    if sys.platform == "zos" or installation.java.major < 9:
        raise InstallationError(f"Java {installation.java.version} on {sys.platform} needs spark-submit")
    told, conf_dir = _ask_launcher(installation)
    home = installation.spark.home
    start = [f"{conf_dir}/{os.pathsep}{home}/jars/*", "-Xmx1g"]
    if told[1:2] != ["-cp"] or told[2:4] != start or told[-4:] != [SUBMIT, "--class", "x", "y"]:
        raise InstallationError(f"Spark in {home} launches drivers in a way that is not known")
    jars = Path(home, "jars").glob("*.jar")
    return SubmitCommand(
        installation, tuple(told[4:-4]), frozenset(name for jar in jars for name in first_segments(jar))
    )


def _ask_launcher(installation: Installation) -> tuple[list[str], str]:
    """Return the command that Spark's launcher makes for an application without options, and its conf directory."""
    spark, java = installation.spark, installation.java
    scala = {"SPARK_SCALA_VERSION": spark.scala} if spark.scala else {}
    with tempfile.TemporaryDirectory() as conf_dir, tempfile.TemporaryFile() as out:
        env = {"SPARK_HOME": spark.home, "JAVA_HOME": java.home, "SPARK_CONF_DIR": conf_dir, **scala}
        options = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp", os.path.join(spark.home, "jars", "*")]
        argv = [os.path.join(java.home, "bin", "java"), *options, "org.apache.spark.launcher.Main", SUBMIT]
        try:
            status = run_within(LAUNCHER_LIMIT, [*argv, "--class", "x", "y"], env=env, stdout=out)
        except (OSError, TimeoutExpired) as error:
            raise InstallationError(f"Spark's launcher can't be asked: {type(error).__name__}") from error
        out.seek(0)
        content = out.read()
    if status or b"\0" not in content:
        raise InstallationError(f"Spark's launcher in {spark.home} ended with status {status}")
    # Before Spark 3.3 there is no empty line and no empty word at the start (spark-class, build_command).
    words = [os.fsdecode(word) for word in content.lstrip(b"\r\n\0").rstrip(b"\0").split(b"\0")]
    return [word.lstrip("\r\n") for word in words], conf_dir


def first_segments(jar: Path) -> Iterator[str]:
    """Yield the first segment of each name in a jar; none for what is no jar."""
    try:
        with zipfile.ZipFile(jar) as content:
            yield from {name.partition("/")[0] for name in content.namelist()}
    except (OSError, zipfile.BadZipFile):
        return
