"""`jupyter kg2at warm`, against a gateway that answers what a test says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.status_server import TOKEN, WAITING, Fake, command, environ


def warm(fake: Fake, tmp_path: Path, *arguments: str) -> tuple[int, str, str]:
    return command("warm", environ(tmp_path, KG2AT_URL=fake.url, KG_AUTH_TOKEN=TOKEN), *arguments)


def test_what_waits_and_what_was_missed(fake: Fake, tmp_path: Path) -> None:
    code, out, err = warm(fake, tmp_path)
    assert (code, err) == (0, "")
    for said in (
        ("77a1", "apache_toree_scala", "ready", "h ago", "42"),
        ("88b2", "starting"),
        ("None is started now: too b\\x1b[2Jusy.",),
        ("3 of 6 starts got a kernel that had waited.",),
    ):
        assert any(all(word in line for word in said) for line in out.splitlines()), (said, out)
    reasons = [line.split(maxsplit=1) for line in out.splitlines()[-2:]]
    assert reasons == [["2", "its driver has 2g"], ["1", "none waited"]]


def test_json(fake: Fake, tmp_path: Path) -> None:
    code, out, _ = warm(fake, tmp_path, "--json")
    assert (code, json.loads(out)) == (0, WAITING)


@pytest.mark.parametrize("empty", [{}, {"kernels": 5, "handed_out": "x", "missed": [1], "paused": ""}])
def test_nothing_to_show(fake: Fake, tmp_path: Path, empty: Any) -> None:
    fake.status = {"kernels": [], "warm": empty | {"paused": "warm_kernels names none"}}
    code, out, _ = warm(fake, tmp_path)
    assert code == 0 and "No kernel was started for a user yet." in out
    assert "No kernel waits for a user.\nNone is started now: warm_kernels names none.\n" in out


def test_a_gateway_of_an_earlier_kg2at(fake: Fake, tmp_path: Path) -> None:
    fake.status = {"kernels": []}
    code, out, err = warm(fake, tmp_path)
    assert (code, out) == (1, "") and f"{fake.url} is of a kg2at that has no kernels wait for users" in err


def test_no_gateway(tmp_path: Path) -> None:
    code, out, err = command("warm", environ(tmp_path))
    assert (code, out) == (1, "") and "No gateway of yours runs here" in err
