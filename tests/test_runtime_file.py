"""The file by which commands find the gateway of their user."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kg2at_personality.runtime_file import RuntimeFile, running, write

URL = "http://127.0.0.1:8888"


def test_a_gateway_is_found_until_it_ends(tmp_path: Path) -> None:
    directory = tmp_path / "run[time]"
    here = write(str(directory), 8888, URL, "secret")
    assert here == RuntimeFile(f"{directory}/kg2at-8888.json", URL, "secret", os.getpid())
    assert stat.S_IMODE(os.stat(here.path).st_mode) == 0o600 and stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert running(str(directory)) == [here]
    here.remove()
    here.remove()
    assert running(str(directory)) == []


def test_gateways_come_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    second, first = write(str(tmp_path), 9999, URL, ""), write(str(tmp_path), 8888, URL, "", "chain.pem")
    assert running(str(tmp_path)) == [first, second]
    assert (first.certfile, second.certfile) == (f"{tmp_path}/chain.pem", "")


def test_one_that_a_crash_left_is_left_out(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    content = {"url": URL, "token": "", "pid": ended.pid, "certfile": ""}
    (tmp_path / "kg2at-1.json").write_text(json.dumps(content))
    assert running(str(tmp_path)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"url": "http://h", "token": ""}',
        '{"url": "http://h", "token": null, "pid": 1}',
        '{"url": 5, "token": "", "pid": 1}',
        '{"url": "http://h", "token": "", "pid": -1}',
        '{"url": "http://h", "token": "", "pid": 1e99}',
        "[" * 100_000,
        "\xff",
    ],
)
def test_what_is_no_file_of_ours_is_left_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "kg2at-1.json").write_text(text, encoding="latin-1")
    (tmp_path / "kg2at-2.json").mkdir()
    assert running(str(tmp_path)) == []
