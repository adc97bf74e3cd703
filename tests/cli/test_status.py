"""`jupyter kg2at status` against a real gateway, and against one that answers what a test says."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality import runtime_file
from tests.cli.status_server import FULL, PROGRAM, TOKEN, Fake, environ, status
from tests.fakes.gateway_process import Gateway


def test_every_part_is_shown(fake: Fake, tmp_path: Path) -> None:
    code, out, err = status(environ(tmp_path, KG2AT_URL=fake.url, KG_AUTH_TOKEN=TOKEN))
    assert (code, err) == (0, "")
    for said in (
        ("http://m:8080", "ALIVE", "3 of 8 free, 2 promised", "2.0 GiB of 8.0 GiB free", "1 s ago"),
        ("0edaa714", "apache_toree_scala", "ada", "1 of 3", "busy, holds 2", "app-1", "4711", "2026-11-22 20:00:00"),
        ("apache_toree_sql", "1 core", "7 s", r"b\x1b[2Job", "app-2"),
        ("dead", "99", "not permitted"),
        ("2 kernels wait for users. 3 of 6 starts got a kernel that had waited.",),
    ):
        assert any(all(word in line for word in said) for line in out.splitlines()), (said, out)
    assert "\x1b" not in out
    code, out, _ = status(environ(tmp_path, KG_AUTH_TOKEN="other"), "--url", fake.url + "/", "--token", TOKEN, "--json")
    assert (code, json.loads(out)) == (0, FULL)


def test_address_as_a_gateway_prints_it(fake: Fake, tmp_path: Path) -> None:
    assert status(environ(tmp_path), "--url", f"{fake.url}/?token={TOKEN}")[0] == 0


@pytest.mark.parametrize("written", ["/a/b", "/a/b/", "/a/b//", "/a/b/?token=of-the-address"])
def test_a_gateway_below_a_path(fake: Fake, tmp_path: Path, written: str) -> None:
    fake.base = "/a/b"
    env = environ(tmp_path)
    assert status(env, "--url", fake.url + written, "--token", TOKEN)[0] == 0
    assert status(env | {"KG2AT_URL": fake.url + written, "KG_AUTH_TOKEN": TOKEN})[0] == ("?" in written)
    assert status(env, "stop", "0edaa714", "--url", fake.url + written, "--token", TOKEN)[0] == 0
    runtime_file.write(str(tmp_path), 8888, fake.url + written.partition("?")[0], TOKEN)
    assert status(env)[0] == 0
    assert status(env, "--url", f"{fake.url}/a/b")[0] == 0, "its token is known by its address"
    code, _, err = status(env, "--url", f"{fake.url}/a", "--token", TOKEN)
    assert code == 1 and f"{fake.url}/a is no gateway with kg2at" in err


@pytest.mark.parametrize(
    "empty", [{"cluster": None, "queue": [], "kernels": []}, {"kernels": [], "queue": 5, "zombies": {}}]
)
def test_nothing_to_show(fake: Fake, tmp_path: Path, empty: Any) -> None:
    fake.status = empty
    code, out, _ = status(environ(tmp_path), "--url", fake.url, "--token", TOKEN)
    assert code == 0 and "No kernels." in out and "Nobody waits." in out


@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ({"raw": b"<html>"}, "no gateway with kg2at"),
        ({"raw": b"[1]"}, "no gateway with kg2at"),
        ({"code": 404}, "no gateway with kg2at"),
        ({"code": 302}, "answered 302"),
        ({"code": 403, "raw": b'{"message": "Not by this name."}'}, "answered 403: Not by this name."),
        ({"code": 503, "raw": b'{"reason": "r", "message": "It is ill."}'}, "answered 503: It is ill."),
    ],
)
def test_answers_that_are_none(fake: Fake, tmp_path: Path, attributes: dict[str, Any], said: str) -> None:
    vars(fake).update(attributes)
    code, out, err = status(environ(tmp_path), "--url", fake.url, "--token", TOKEN)
    assert (code, out) == (1, "") and said in err and fake.url in err


def test_who_is_asked(fake: Fake, tmp_path: Path) -> None:
    env = environ(tmp_path)
    for arguments, code, said in (
        ((), 1, "No gateway of yours runs here"),
        (("--url", "nonsense"), 2, "'nonsense'"),
        (("--url", "http://ada@127.0.0.1:1"), 2, "'http://ada@127.0.0.1:1'"),
        (("--url", "http://127.0.0.1:1foo"), 2, "'http://127.0.0.1:1foo'"),
        (("--url", "http://127.0.0.1:1"), 1, "http://127.0.0.1:1 does not answer: Connection refused"),
        (("--url", fake.url, "--token", "wrong"), 1, "refuses the token; give yours by --token or KG_AUTH_TOKEN"),
        (("--url", fake.url), 1, "wants a token; give yours by --token or KG_AUTH_TOKEN"),
        (("--interval", "0"), 2, "--interval"),
        (("stop",), 2, "--all"),
        (("stop", "x", "--all"), 2, "--all"),
    ):
        got, _, err = status(env, *arguments)
        assert got == code and said in err, (arguments, err)


def test_runtime_file(fake: Fake, tmp_path: Path) -> None:
    here = runtime_file.write(str(tmp_path), 8888, fake.url + "/", TOKEN)
    assert os.stat(here.path).st_mode & 0o777 == 0o600 and os.path.basename(here.path) == "kg2at-8888.json"
    (tmp_path / "kg2at-1.json").write_text('{"url": "http://127.0.0.1:1", "token": "", "pid": 99999999}')
    (tmp_path / "kg2at-2.json").write_text("rubbish")
    assert status(environ(tmp_path, KG_AUTH_TOKEN="of-another"))[0] == 0
    assert status(environ(tmp_path), "--url", fake.url)[0] == 0, "its token is known by its address"
    other = runtime_file.write(str(tmp_path), 8889, "http://127.0.0.1:8889", "")
    code, _, err = status(environ(tmp_path))
    assert code == 1 and "2 gateways" in err and fake.url in err and "--url" in err
    for file in (here, other, here):
        file.remove()
    assert runtime_file.running(str(tmp_path)) == []


def test_stop(fake: Fake, tmp_path: Path) -> None:
    env = environ(tmp_path, KG2AT_URL=fake.url, KG_AUTH_TOKEN=TOKEN)
    assert status(env, "stop", "0edaa714") == (0, "Kernel 0edaa714 is stopped.\n", "")
    code, out, err = status(env, "stop", "../x y")
    assert (code, out) == (1, "") and "no kernel '../x y'" in err
    assert fake.deleted == ["0edaa714", "..%2Fx%20y"]
    code, out, _ = status(env, "stop", "0edaa714", "nobody", "--json")
    assert code == 1 and [row["stopped"] for row in json.loads(out)] == [True, False]


def test_stop_all_asks_first(fake: Fake, tmp_path: Path) -> None:
    env = environ(tmp_path, KG2AT_URL=fake.url, KG_AUTH_TOKEN=TOKEN)
    code, _, err = status(env, "stop", "--all")
    assert code == 1 and "End 1 kernel of" in err and fake.deleted == []
    assert status(env, "stop", "--all", "--yes")[0] == 0 and fake.deleted == ["0edaa714"]
    fake.status = {"kernels": []}
    assert status(env, "stop", "--all", "--yes")[:2] == (0, "There is no kernel to stop.\n")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_watch_repeats_when_piped(fake: Fake, tmp_path: Path, signum: int) -> None:
    argv = [*PROGRAM, "--watch", "--interval", "0.1", "--url", fake.url, "--token", TOKEN]
    with subprocess.Popen(argv, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        _lines_until(process, b"0edaa714", 3)
        fake.code = 503
        _lines_until(process, b"answered 503", 2)
        fake.code = 200
        _lines_until(process, b"0edaa714", 1)
        process.send_signal(signum)
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def _lines_until(process: subprocess.Popen[bytes], word: bytes, times: int) -> None:
    assert process.stdout is not None
    while times:
        line = process.stdout.readline()
        assert line
        times -= word in line


def test_watch_refreshes_in_place_at_a_terminal(fake: Fake, tmp_path: Path) -> None:
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    argv = [*PROGRAM, "--watch", "--interval", "0.1", "--url", fake.url, "--token", TOKEN]
    env = environ(tmp_path, TERM="xterm", COLUMNS="200", LINES="60")
    with subprocess.Popen(argv, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while text.count(b"0edaa714") < 3:
            text += os.read(ours, 10000)
        process.send_signal(signal.SIGINT)
        while True:
            try:
                text += os.read(ours, 10000)
            except OSError:
                break
        assert process.wait(60) == 0
    os.close(ours)
    assert re.search(rb"\x1b\[\d*A", text), "the cursor goes up for each picture"
    assert text.rindex(b"\x1b[?25h") > text.rindex(b"\x1b[?25l"), "the cursor is back"
    assert b"Traceback" not in text


def test_watch_at_a_dumb_terminal_prints_each_picture(fake: Fake, tmp_path: Path) -> None:
    """Which can't write over a picture: rich would show none before the end."""
    ours, theirs = pty.openpty()
    argv = [*PROGRAM, "--watch", "--interval", "0.1", "--url", fake.url, "--token", TOKEN]
    with subprocess.Popen(
        argv, env=environ(tmp_path, TERM="dumb"), stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        text = b""
        while text.count(b"0edaa714") < 3:
            text += os.read(ours, 10000)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    os.close(ours)
    assert b"\x1b" not in text


def test_a_reader_that_has_enough_is_no_error(fake: Fake, tmp_path: Path) -> None:
    argv = [*PROGRAM, "--watch", "--interval", "0.1", "--url", fake.url, "--token", TOKEN]
    with subprocess.Popen(argv, env=environ(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.wait(60)
        assert process.stderr.read() == b""


def test_a_real_gateway(tmp_path: Path) -> None:
    (tmp_path / "client").mkdir()
    with Gateway(tmp_path, "--KG2ATPersonality.inject_kernelspecs=False", quick=True) as gateway:
        env = environ(tmp_path / "client", KG2AT_URL=gateway.url, KG_AUTH_TOKEN=gateway.token)
        ids = [gateway.start_kernel("python3") for _ in range(3)]
        code, out, _ = status(env)
        assert code == 0 and all(kernel_id in out for kernel_id in ids) and out.count("python3") == 3
        assert status(env, "stop", ids[0])[0] == 0
        assert status(env, "stop", "never-known")[0] == 1
        code, out, _ = status(env, "--json")
        assert code == 0 and {row["kernel_id"] for row in json.loads(out)["kernels"]} == set(ids[1:])
        assert status(env, "stop", "--all", "-y")[0] == 0
        assert gateway.request("GET", "/api/kernels").body == []
        assert status(env, "--token", "wrong")[0] == 1
        own = environ(gateway.runtime)
        assert status(own)[0] == 0, "its runtime file tells where it is"
    assert "No gateway of yours runs here" in status(own)[2]
