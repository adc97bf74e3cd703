"""Interpreters that are small programs, and the real one of this test."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import pytest

from kg2at_personality.errors import InstallationError
from kg2at_personality.spark import python_interpreter, python_probe
from kg2at_personality.spark.python_interpreter import Interpreter, interpreter_at, numbers, path_of
from tests.fakes.installation import make_python

LIMIT = 60.0
#: In pyenv's folder.
OTHERS = [
    path
    for version in ("2.7", "3.6", "3.7", "3.8", "3.9")
    for path in Path(os.environ.get("PYENV_ROOT", "~/.pyenv")).expanduser().glob(f"versions/{version}.*/bin/python")
]


@pytest.fixture(autouse=True)
def fresh() -> None:
    python_interpreter._known.clear()


def at(path: Path, limit: float = LIMIT, **environ: str) -> Interpreter:
    return interpreter_at(str(path), {"PATH": os.environ["PATH"], **environ}, limit)


def refused(path: Path, limit: float = LIMIT, **environ: str) -> str:
    with pytest.raises(InstallationError) as caught:
        at(path, limit, **environ)
    return str(caught.value)


def settle(*paths: Path) -> None:
    """Let the last change of each be long ago."""
    for path in paths:
        os.utime(path, (1, 1))


def questions(path: Path) -> int:
    """How often the interpreter was asked."""
    return len(Path(f"{path}.asked").read_text().splitlines())


def test_the_one_that_runs_this_is_asked_without_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(python_interpreter, "run_within", None)
    told = interpreter_at(sys.executable, os.environ, LIMIT)
    assert told.executable == sys.executable and told.ipykernel == metadata.version("ipykernel")
    assert told.version == "{}.{}.{}".format(*sys.version_info) and told.minor == "{}.{}".format(*sys.version_info)


def test_a_process_tells_the_same() -> None:
    """The same interpreter in a process of its own, since PYTHONPATH is another there."""
    asked = interpreter_at(sys.executable, {**os.environ, "PYTHONPATH": "/nowhere"}, LIMIT)
    here = interpreter_at(sys.executable, os.environ, LIMIT)
    assert (asked.version, asked.ipykernel, asked.pyspark, asked.py4j) == (
        here.version,
        here.ipykernel,
        here.pyspark,
        here.py4j,
    )
    assert "/nowhere" in asked.watched and "" not in asked.watched


def test_the_question_is_one_for_python_3_8() -> None:
    ast.parse(Path(python_probe.__file__).read_text("utf-8"), feature_version=(3, 8))


def test_a_real_interpreter_without_packages_gets_one(tmp_path: Path) -> None:
    """It is seen at the next look that something was installed there, and that it is gone again."""
    venv.create(tmp_path / "venv", symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    assert (at(python).ipykernel, at(python).pyspark) == ("", "")
    site = next((tmp_path / "venv" / "lib").glob("*/site-packages"))
    settle(site)
    assert at(python).ipykernel == ""
    (site / "ipykernel").mkdir()
    (site / "ipykernel" / "__init__.py").touch()
    about = site / "ipykernel-6.1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: ipykernel\nVersion: 6.1.0\n")
    assert at(python).ipykernel == "6.1.0"
    (site / "ipykernel" / "__init__.py").unlink()
    (site / "ipykernel").rmdir()
    assert at(python).ipykernel == ""


def test_a_package_that_comes_while_this_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python remembers what is in its directories, and looks again only when their time has changed."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "py4j", raising=False)  # as in a gateway, which imports none of them
    before = os.stat(tmp_path)
    found = interpreter_at(sys.executable, os.environ, LIMIT)
    assert found.py4j != str(tmp_path / "py4j")
    (tmp_path / "py4j").mkdir()
    (tmp_path / "py4j" / "__init__.py").touch()
    os.utime(tmp_path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert interpreter_at(sys.executable, os.environ, LIMIT).py4j == str(tmp_path / "py4j")


def test_it_is_asked_once_until_it_or_its_packages_change(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    python = make_python(tmp_path / "python", ipykernel="6.0", watched=[str(site), "/nowhere", "nul\0"])
    at(python)
    at(python)
    assert questions(python) == 2  # they changed just now, and might go on
    settle(python, site)
    for _ in range(3):
        assert at(python).ipykernel == "6.0"
    assert questions(python) == 3
    os.utime(site, (2, 2))
    at(python)
    at(python)
    assert questions(python) == 4
    make_python(tmp_path / "python", "3.12.1", ipykernel="6.0")
    assert at(python).version == "3.12.1"
    assert at(python, PYTHONPATH="/elsewhere") and questions(python) == 6


def test_an_old_python_tells_its_version_alone(tmp_path: Path) -> None:
    """What a Python 2.7 runs of the question, run by this one."""
    code = python_interpreter._ASK.replace("sys.version_info", "(2, 7, 18)")
    with open(tmp_path / "answer", "wb") as answer:
        argv = [sys.executable, "-c", code, str(answer.fileno()), "raise SystemError"]
        subprocess.run(argv, check=True, pass_fds=[answer.fileno()])
    assert (tmp_path / "answer").read_text() == '{"version": "2.7.18"}'
    told = at(make_python(tmp_path / "python2", "2.7.18", ipykernel=""))
    assert (told.minor, told.ipykernel, told.is_at_least(3, 8), told.is_at_least(2, 7)) == ("2.7", "", False, True)


@pytest.mark.skipif(not OTHERS, reason="no Python 2.7 to 3.9 is at hand")
def test_the_old_pythons_at_hand() -> None:
    for path in OTHERS:
        assert at(path).version == path.parts[-3]


def test_what_is_no_interpreter(tmp_path: Path) -> None:
    assert refused(tmp_path / "none") == f"{tmp_path}/none can't be run: No such file or directory"
    assert refused(tmp_path) == f"{tmp_path} can't be run: Permission denied"
    assert refused(Path("/bin/echo")) == "/bin/echo answers as no Python does"
    assert refused(Path("/bin/false")) == "/bin/false ended with status 1"
    assert "can't be run" in refused(Path("nul\0"))


@pytest.mark.parametrize(
    "answer", [b"", b"[]", b"{}", b'{"version": 3}', b'{"version": "3.9.1", "watched": [1]}', b"\xff"]
)
def test_answers_of_another_shape(tmp_path: Path, answer: bytes) -> None:
    script = f"os.write(int(sys.argv[3]), {answer!r}); sys.exit()"
    assert refused(make_python(tmp_path / "python", script=script)) == f"{tmp_path}/python answers as no Python does"


def test_a_failure_has_its_last_line_without_secrets(tmp_path: Path) -> None:
    script = "sys.exit('Fatal Python error\\nno encodings below ' + os.environ['MY_PASSWORD'])"
    said = refused(make_python(tmp_path / "python", script=script), MY_PASSWORD="swordfish-1")
    assert said.startswith(f"{tmp_path}/python ended with status 1: no encodings below ") and "swordfish" not in said


def test_one_that_hangs_is_killed(tmp_path: Path) -> None:
    python = make_python(tmp_path / "python")
    python.write_text(f"#!/bin/sh\necho $$ > {tmp_path}/pid\nsleep 600\n")
    assert refused(python, 2) == f"{python} did not answer within 2 s"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_names_are_looked_up_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_python(tmp_path / "bin" / "python3.9")
    environ = {"PATH": f"/nowhere:{tmp_path}/bin"}
    assert path_of("python3.9", environ) == f"{tmp_path}/bin/python3.9"
    with pytest.raises(InstallationError, match=r"there is no python3\.7 on the PATH"):
        path_of("python3.7", environ)
    with pytest.raises(InstallationError):
        path_of("python3.9", {})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path_of("bin/../bin/python3.9", {}) == path_of("~/bin/python3.9", {}) == f"{tmp_path}/bin/python3.9"


def test_the_numbers_of_a_version() -> None:
    for text, expected in (("3.5.9", (3, 5, 9)), ("4.1.0.dev0", (4, 1, 0)), ("3.5.0-cdh7.1", (3, 5, 0)), ("", ())):
        assert numbers(text) == expected
