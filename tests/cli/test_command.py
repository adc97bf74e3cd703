"""What a user can get wrong: each a sentence and an exit status, never traitlets' own log line or a traceback."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from kg2at_personality.cli.app import main
from kg2at_personality.cli.command import USAGE, WRONG


@pytest.fixture(autouse=True)
def directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "DATA", "RUNTIME"):
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path))
    return tmp_path


def ended(*argv: str) -> int | str | None:
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as end:
        patch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO()))
        main(list(argv))
    return end.value.code


def test_a_value_that_its_option_can_t_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("status", "--interval=x") == USAGE
    assert capsys.readouterr().err.splitlines() == [
        "jupyter-kg2at: StatusApp.interval expected a float, not the str 'x'."
    ]


def test_the_same_in_a_configuration_file(directories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directories / "jupyter_kernel_gateway_config.py").write_text("c.StatusApp.interval = 'x'\n")
    assert ended("status") == WRONG
    assert capsys.readouterr().err.splitlines() == [
        "jupyter-kg2at: StatusApp.interval expected a float, not the str 'x'."
    ]


def test_an_option_wins_over_the_configuration_file(directories: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (directories / "jupyter_kernel_gateway_config.py").write_text("c.StatusApp.interval = 5.0\n")
    assert ended("status", "--interval=0") == USAGE
    assert "--interval: 0 is not between" in capsys.readouterr().err
