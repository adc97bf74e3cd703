from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.errors import InstallationError
from kg2at_personality.spark.installation import Installation, Java, Spark
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.submit_command import SubmitCommand, submit_command
from tests.fakes.installation import make_java, make_launcher, make_spark, needs_spark, write_submit

OPTIONS = ("-XX:+Ignore", "--add-opens=a/b=ALL-UNNAMED")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    spark, java = make_spark(tmp_path / "spark"), make_java(tmp_path / "java")
    make_launcher(java, OPTIONS)
    with zipfile.ZipFile(spark / "jars" / "some.jar", "w") as jar:
        jar.writestr("core-default.xml", "")
        jar.writestr("org/some/A.class", "")
    return Installation(Spark(str(spark), "3.5.9", "2.12"), Java(str(java), "17.0.15", 17))


def test_what_sparks_launcher_says_is_learned(installation: Installation) -> None:
    found = submit_command(installation)
    assert found.options == OPTIONS and found.names == {"core-default.xml", "org"}


@pytest.mark.parametrize(
    ("java", "script", "sentence"),
    [
        (Java("", "1.8.0_402", 8), "", "Java 1.8.0_402 on .* needs spark-submit"),
        (None, "exit 1", "ended with status 1"),
        (None, "echo no", "ended with status 0"),
        (None, r"printf 'java\0-cp\0other\0-Xmx1g\0'", "in a way that is not known"),
        (Java("/nowhere", "17", 17), "", "can't be asked"),
    ],
)
def test_what_is_not_known_is_left_to_spark_submit(
    installation: Installation, java: Java | None, script: str, sentence: str
) -> None:
    Path(installation.java.home, "bin", "java").write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(InstallationError, match=sentence):
        submit_command(Installation(installation.spark, java or installation.java))


def test_the_command(installation: Installation, tmp_path: Path) -> None:
    home = installation.spark.home
    env = {"SPARK_HOME": home, "SPARK_CONF_DIR": str(tmp_path), "HADOOP_CONF_DIR": "/etc/hadoop"}
    env |= {"SPARK_DIST_CLASSPATH": f"/a.jar:{tmp_path}", "SPARK_SUBMIT_OPTS": "-Da='b c'"}
    argv = SubmitCommand(installation, OPTIONS, frozenset()).argv(["/c/rest.jar"], "700m", ["-Dx=y"], env)
    assert argv == [
        f"{installation.java.home}/bin/java",
        *("-cp", f"{home}/jars/*:/c/rest.jar:{tmp_path}/:/etc/hadoop:/a.jar"),
        *("-Da=b c", "-Xmx700m", "-Dx=y", *OPTIONS, "org.apache.spark.deploy.SparkSubmit"),
    ]


@pytest.mark.parametrize(
    ("env", "properties", "files", "obstacle"),
    [
        ({}, {}, ["spark-defaults.conf", "hive-site.xml"], ""),
        ({"SPARK_PREPEND_CLASSES": "1"}, {}, [], "$SPARK_PREPEND_CLASSES is set"),
        ({}, {"spark.driver.extraClassPath": "/a"}, [], "spark.driver.extraClassPath is set"),
        ({}, {"spark.driver.userClassPathFirst": "false"}, [], ""),
        ({}, {"spark.driver.userClassPathFirst": "true"}, [], "spark.driver.userClassPathFirst is set"),
        ({}, {}, ["java-opts"], "there is CONF/java-opts"),
        ({}, {}, ["core-default.xml"], "CONF/ has core-default.xml, and so has a jar"),
        ({}, {}, ["application.conf"], "CONF/ has application.conf, and so has a jar"),
    ],
)
def test_what_spark_submit_has_to_do(
    tmp_path: Path, env: dict[str, str], properties: dict[str, str], files: list[str], obstacle: str
) -> None:
    home = make_spark(tmp_path / "spark")
    write_submit(home)
    spark = Spark(str(home), "3.5.9", "2.12")
    command = SubmitCommand(Installation(spark, Java("", "17", 17)), (), frozenset(["core-default.xml"]))
    for name in files:
        (tmp_path / name).touch()
    found = command.obstacle(env | {"SPARK_CONF_DIR": str(tmp_path)}, properties, frozenset(["application.conf"]))
    assert found == obstacle.replace("CONF", str(tmp_path))


@pytest.mark.parametrize("script", ["#!/bin/sh\nexec sudo -u me /opt/spark/bin/spark-submit\n", None])
def test_a_spark_submit_of_the_sites_own_is_run(tmp_path: Path, script: str | None) -> None:
    """It may set what only it knows."""
    home = make_spark(tmp_path / "spark")
    path = home / "bin" / "spark-submit"
    path.unlink() if script is None else path.write_text(script)
    command = SubmitCommand(Installation(Spark(str(home), "3.5.9", "2.12"), Java("", "17", 17)), (), frozenset())
    assert command.obstacle({"SPARK_CONF_DIR": str(tmp_path)}, {}, frozenset()) == f"{path} is not Spark's own"


@needs_spark
def test_a_real_spark(tmp_path: Path) -> None:
    real: Any = InstallationFinder().find(os.environ)
    found = submit_command(real)
    assert "--add-opens=java.base/java.lang=ALL-UNNAMED" in found.options and "org" in found.names
    assert found.obstacle({"SPARK_CONF_DIR": str(tmp_path)}, {}, frozenset()) == ""
