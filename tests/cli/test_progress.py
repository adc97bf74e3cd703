"""The one progress display: in place at a terminal, plain lines on a pipe and at a dumb terminal."""

from __future__ import annotations

import io
import os
import pty
import re
from typing import TextIO

import pytest

from kg2at_personality.cli.progress import Progress


class Terminal:
    """A terminal: `stream` to write to, and what it was sent."""

    def __init__(self) -> None:
        self._leader, follower = pty.openpty()
        self.stream: TextIO = os.fdopen(follower, "w")

    def sent(self) -> str:
        """Close it, and return everything."""
        self.stream.close()
        text = b""
        try:
            while more := os.read(self._leader, 65536):
                text += more
        except OSError:  # Linux says so when the other side is closed
            pass
        finally:
            os.close(self._leader)
        return text.decode()


def steps(progress: Progress) -> None:
    progress.begin("[1/2] Toree")
    progress.tick()
    progress.end("toree 0.5.0, 3.1 s")
    progress.begin("[2/2] py4j")
    progress.end("failed")


def states(progress: Progress) -> None:
    for text in ("0 of 2", "0 of 2", "1 of 2"):
        progress.show(text)
    progress.close()
    progress.close()


class Pipe:
    """What is no terminal."""

    def __init__(self) -> None:
        self.stream = io.StringIO()

    def sent(self) -> str:
        return self.stream.getvalue()


@pytest.fixture(params=[Pipe, Terminal], ids=["pipe", "dumb terminal"])
def plain(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Pipe | Terminal:
    monkeypatch.setenv("TERM", "dumb")
    made: Pipe | Terminal = request.param()
    return made


def test_steps_are_plain_lines(plain: Pipe | Terminal) -> None:
    steps(Progress(plain.stream))
    text = plain.sent().replace("\r\n", "\n")
    assert text == "[1/2] Toree ... toree 0.5.0, 3.1 s\n[2/2] py4j ... failed\n"


def test_each_new_state_is_a_plain_line(plain: Pipe | Terminal) -> None:
    with Progress(plain.stream) as progress:
        states(progress)
    assert plain.sent().replace("\r\n", "\n") == "0 of 2\n1 of 2\n"


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def kept(text: str) -> list[str]:
    """The lines that a terminal keeps of `text`: those that nothing is written over."""
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.replace("\r\n", "\n")).split("\n")
    return [line.rpartition("\r")[2].strip() for line in lines]


def test_a_step_runs_in_place_and_its_line_stays(terminal: Terminal) -> None:
    steps(Progress(terminal.stream))
    text = terminal.sent()
    assert re.search(r"\[1/2\] Toree \.\.\. .*0:00:0\d", text), "with the time that it takes"
    assert {"[1/2] Toree ... toree 0.5.0, 3.1 s", "[2/2] py4j ... failed"} <= set(kept(text))
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"


@pytest.mark.parametrize("transient", [False, True])
def test_the_last_state_stays_unless_it_is_transient(terminal: Terminal, transient: bool) -> None:
    with Progress(terminal.stream, transient) as progress:
        states(progress)
    text = terminal.sent()
    assert "\x1b[?25h" in text
    assert (kept(text)[-2:] == ["1 of 2", ""]) is not transient


def test_no_color_leaves_the_line_in_place(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    steps(Progress(terminal.stream))
    text = terminal.sent()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", text) and "0:00:0" in text


def test_an_error_ends_the_line(terminal: Terminal) -> None:
    with pytest.raises(KeyboardInterrupt), Progress(terminal.stream) as progress:
        progress.begin("Toree")
        raise KeyboardInterrupt
    text = terminal.sent()
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is back"


@pytest.mark.parametrize("term", ["xterm", "dumb"])
def test_a_stream_that_nobody_reads_is_no_error(term: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", term)
    with Progress(Gone()) as progress:
        steps(progress)
        states(progress)


class Gone(io.StringIO):
    """A terminal that was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")
