from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.errors import SparkConfError
from kg2at_personality.spark.spark_env import assigned_at, load_spark_env
from tests.fakes.processes import runs
from tests.fakes.wait import wait_until

PATH = {"PATH": os.environ["PATH"]}


def load(tmp_path: Path, script: str, environ: dict[str, str] | None = None, timeout: float = 30) -> dict[str, str]:
    (tmp_path / "spark-env.sh").write_text(script)
    return load_spark_env(environ if environ is not None else PATH, str(tmp_path), timeout)


@pytest.fixture(params=["bash", "sh"])
def environ(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has the usual programs, and bash only in the first case."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in {"sleep", "cat", request.param}:
        (tools / name).symlink_to(shutil.which(name) or "")
    return {"PATH": str(tools)}


# spark-env.sh


def test_without_a_script_nothing_changes(tmp_path: Path) -> None:
    assert load_spark_env({"A": "1"}, str(tmp_path), 10) == {"A": "1"}


def test_a_directory_is_no_script(tmp_path: Path) -> None:
    (tmp_path / "spark-env.sh").mkdir()
    assert load_spark_env({"A": "1"}, str(tmp_path), 10) == {"A": "1"}


def test_loaded_once_only(tmp_path: Path) -> None:
    environ = PATH | {"SPARK_ENV_LOADED": "1"}
    assert load(tmp_path, "A=1", environ) == environ
    assert load(tmp_path, "A=1", PATH | {"SPARK_ENV_LOADED": ""})["A"] == "1"


def test_assignments_are_exported_and_nothing_else_changes(tmp_path: Path, environ: dict[str, str]) -> None:
    script = 'SPARK_EXECUTOR_CORES=4\nexport SPARK_OPTS="--conf a=$SPARK_EXECUTOR_CORES"\nunset GONE\n'
    loaded = load(tmp_path, script, environ | {"KEPT": "k", "GONE": "g", "_": "x"})
    assert loaded == environ | {
        "KEPT": "k",
        "_": "x",
        "SPARK_EXECUTOR_CORES": "4",
        "SPARK_OPTS": "--conf a=4",
        "SPARK_ENV_LOADED": "1",
    }


def test_the_script_sees_the_environment(tmp_path: Path, environ: dict[str, str]) -> None:
    assert load(tmp_path, "B=$A$SPARK_ENV_LOADED", environ | {"A": "x"})["B"] == "x1"


def test_noise_and_odd_values(tmp_path: Path, environ: dict[str, str]) -> None:
    script = "echo A=noise; echo more >&2\nA='two\nlines = \"é\"'\n"
    assert load(tmp_path, script, environ)["A"] == 'two\nlines = "é"'


@pytest.fixture
def open_stdin() -> Iterator[None]:
    """A stdin that never ends, as a gateway in a terminal has."""
    reader, writer = os.pipe()
    saved = os.dup(0)
    os.dup2(reader, 0)
    yield
    os.dup2(saved, 0)
    for descriptor in (reader, writer, saved):
        os.close(descriptor)


@pytest.mark.usefixtures("open_stdin")
def test_the_script_does_not_read_the_gateways_stdin(tmp_path: Path, environ: dict[str, str]) -> None:
    assert load(tmp_path, "cat\nA=1", environ, timeout=20)["A"] == "1"


def test_undecodable_values_survive(tmp_path: Path) -> None:
    odd = os.fsdecode(b"\xff\xfe")
    assert load(tmp_path, "B=$A", PATH | {"A": odd})["B"] == odd


def test_a_locale_of_the_scripts_own(tmp_path: Path) -> None:
    assert load(tmp_path, "LC_CTYPE=C")["LC_CTYPE"] in ("C", "C.UTF-8")
    assert "LC_CTYPE" not in load(tmp_path, "LC_ALL=\nLANG=C")


def test_pythons_variables_do_not_break_the_reading(tmp_path: Path) -> None:
    loaded = load(tmp_path, "PYTHONHOME=/nowhere\nPYTHONPATH=/nowhere\nPATH=/nowhere")
    assert (loaded["PYTHONHOME"], loaded["PATH"]) == ("/nowhere", "/nowhere")


def test_a_last_command_that_fails_is_no_error(tmp_path: Path, environ: dict[str, str]) -> None:
    assert load(tmp_path, "A=1\n[ -n '' ] && B=2\n", environ)["A"] == "1"


def test_blanks_and_quotes_in_the_path(tmp_path: Path) -> None:
    directory = tmp_path / "it's a $HOME"
    directory.mkdir()
    assert load(directory, "A=1")["A"] == "1"


@pytest.mark.parametrize(
    ("script", "line"), [("A=1\r\n", 1), ("# c\r\n\r\nexport A='x'\r\n", 3), ("A=1\nif true\r\nthen B=2; fi\n", 2)]
)
def test_the_line_ends_of_windows(tmp_path: Path, environ: dict[str, str], script: str, line: int) -> None:
    with pytest.raises(SparkConfError, match=r"CR LF, as on Windows.*sed -i 's/\\r\$//' ") as caught:
        load(tmp_path, script, environ)
    assert caught.value.where == f"{tmp_path / 'spark-env.sh'}, line {line}"


def test_the_line_that_sets_a_variable(tmp_path: Path) -> None:
    script = tmp_path / "spark-env.sh"
    script.write_text("A=1\n# B=1\nif true; then\n  export B=2\nfi\n A=3\nAB=4\n")
    assert [assigned_at(str(script), name) for name in ("A", "B", "AB", "C")] == [6, 4, 7, None]
    assert assigned_at(str(tmp_path / "none"), "A") is None


def test_comments_may_end_as_they_like(tmp_path: Path, environ: dict[str, str]) -> None:
    assert load(tmp_path, "#!/bin/sh\r\n  # two\r\nA=1\nB='x\ry'\n", environ)["A"] == "1"


@pytest.mark.parametrize("script", ["A=1\nif true\n", "A=1\n)\n", "exit 1\n", "A=1\nexit 0\n", "set -e\nfalse\nA=1\n"])
def test_a_broken_script_is_an_error(tmp_path: Path, environ: dict[str, str], script: str) -> None:
    with pytest.raises(SparkConfError, match="it ended the shell with status ") as caught:
        load(tmp_path, script, environ)
    assert caught.value.where == str(tmp_path / "spark-env.sh")


def test_the_error_has_the_shells_last_words(tmp_path: Path) -> None:
    with pytest.raises(SparkConfError, match=r"status 3: no such disk$"):
        load(tmp_path, "echo no such disk >&2\nexit 3")
    with pytest.raises(SparkConfError, match=r"line 2: syntax error"):
        load(tmp_path, "A=1\n)")


@pytest.mark.parametrize(
    "script",
    [
        "export MY_PASSWORD=hunter2-is-it )\n",  # bash quotes the line
        "set -x\nMY_PASSWORD=hunter2-is-it\nexit 1\n",
        "echo it is $MY_SECRET >&2; exit 1\n",
        "echo password=hunter2-is-it >&2; exit 1\n",
    ],
)
def test_the_error_has_no_secrets(tmp_path: Path, script: str) -> None:
    with pytest.raises(SparkConfError) as caught:
        load(tmp_path, script, PATH | {"MY_SECRET": "hunter2-is-it"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.timeout(60)
def test_a_script_that_hangs_is_killed_with_its_children(tmp_path: Path, environ: dict[str, str]) -> None:
    script = f"sleep 600 &\necho $! > {tmp_path}/pid\nsleep 600\n"
    with pytest.raises(SparkConfError, match=r"spark-env.sh: it did not end within 2 s and was killed"):
        load(tmp_path, script, environ, timeout=2)
    child = int((tmp_path / "pid").read_text())
    wait_until(lambda: not runs(child), "its child's death", 30)


@pytest.mark.timeout(60)
def test_a_daemon_that_the_script_leaves_is_not_waited_for(tmp_path: Path, environ: dict[str, str]) -> None:
    loaded = load(tmp_path, "sleep 30 &\nDAEMON=$!\n", environ)
    os.kill(int(loaded["DAEMON"]), 9)


def test_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_args, **_kwargs: str(tmp_path / "nosh"))
    with pytest.raises(SparkConfError, match="nosh can't be run: No such file"):
        load(tmp_path, "A=1")


# SPARK_OPTS
