"""A picture of something that changes: printed over the one before at a terminal, after it elsewhere."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable, Iterator

Picture = Callable[[], None]


@contextlib.contextmanager
def screen(in_place: bool) -> Iterator[Callable[[Picture], None]]:
    """Give a function that prints a picture, which is a function that prints itself on standard output.

    `in_place`: standard output is an interactive terminal, and rich puts each picture over the one before.
    """
    if not in_place:
        yield _print_on
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        yield lambda picture: live.update(Text.from_ansi(_printed(picture)), refresh=True)


def _print_on(picture: Picture) -> None:
    picture()
    sys.stdout.flush()


class _TerminalBuffer(io.StringIO):
    """Keeps what is printed, and has it printed as for a terminal."""

    def isatty(self) -> bool:
        return True


def _printed(picture: Picture) -> str:
    """Return what `picture` prints for a terminal."""
    with contextlib.redirect_stdout(_TerminalBuffer()) as buffer:
        picture()
    return buffer.getvalue()
