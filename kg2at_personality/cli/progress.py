"""How far a command is: a line that rich keeps up to date at a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
from typing import TextIO

from .output import is_interactive


class Progress:
    """Shows on a stream how far a command is; to be closed, or used in a `with` block.

    For a step: `begin`, then `end`. For a state that changes: `show`, as often as it may have changed. At a terminal
    the current line has a spinner and the time that it takes. Elsewhere, and at a dumb terminal, each step and each new
    state is a line. No-op when nobody reads the stream any more.
    """

    def __init__(self, stream: TextIO, transient: bool = False) -> None:
        """`transient`: a terminal does not keep the last state that was shown."""
        self._stream, self._transient = stream, transient
        self._is_interactive = is_interactive(stream)
        self._text = ""
        self._line: _Line | None = None

    def begin(self, name: str) -> None:
        """Show the step `name` as running."""
        self._text = f"{name} ..."
        if self._is_interactive:
            self._line = _Line(self._stream, self._text)
        else:
            self._write(self._text)

    def tick(self) -> None:
        """No-op, since rich counts the seconds by itself. Called while a step waits for a program (starter.py)."""

    def end(self, result: str) -> None:
        """Complete the step's line with what came of it."""
        self._stop()
        self._write(f"{self._text} {result}\n" if self._is_interactive else f" {result}\n")

    def show(self, text: str) -> None:
        """Show `text` as the state. No-op when it is shown already."""
        if text == self._text:
            return
        self._text = text
        if not self._is_interactive:
            self._write(f"{text}\n")
        elif self._line is None:
            self._line = _Line(self._stream, text)
        else:
            self._line.update(text)

    def close(self) -> None:
        """Complete the current line. Idempotent."""
        if self._line is not None:
            self._stop()
            self._write("" if self._transient else f"{self._text}\n")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _stop(self) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.stop()

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            self._stream.write(text)
            self._stream.flush()


class _Line:
    """A line at a terminal that is written again until `stop`, which removes it."""

    def __init__(self, stream: TextIO, text: str) -> None:
        from rich.console import Console  # rich takes a tenth of a second to import
        from rich.progress import Progress as Lines
        from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

        columns = (SpinnerColumn("line"), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        # What is printed meanwhile goes where it belongs: standard output may be a pipe.
        self._lines = Lines(
            *columns, console=Console(file=stream), transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._task = self._lines.add_task(text, total=None)
        with contextlib.suppress(OSError):
            self._lines.start()

    def update(self, text: str) -> None:
        self._lines.update(self._task, description=text)

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._lines.stop()
