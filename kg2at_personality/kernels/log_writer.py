"""Copies what a kernel prints to its log, which never grows beyond its bound. A program of its own, run as

    python -I -S log_writer.py BYTES < pipe 1<> log

It goes on when the gateway dies, so that no kernel's output is ever stuck, and ends when no process prints any more.
It needs nothing but os and sys: it starts in some 15 ms, and takes 3 MB beside what all Pythons share.
"""

from __future__ import annotations

import os
import sys

#: Bytes read at a time: a pipe holds no more.
PIECE = 64 * 1024
#: The first line of a log that was cut.
CUT = b"[kg2at cut the older lines]\n"


def copy(source: int, log: int, limit: int) -> None:
    """Append to `log` what comes from `source`, until that ends. Lines that a full disk does not take are lost."""
    while data := os.read(source, PIECE):
        # contextlib would take as long to import as Python to start.
        try:  # noqa: SIM105
            add(log, data, limit)
        except OSError:
            pass


def add(log: int, data: bytes, limit: int) -> None:
    """Append `data`; where it does not fit, only the newer half of all that was printed stays, in whole lines.

    What is shorter than twice the line that tells of the cut is as long as that. Raises OSError.
    """
    limit = max(limit, 2 * len(CUT))
    size = os.fstat(log).st_size
    if size + len(data) <= limit:
        _write(log, data, size)
        return
    # The mark and half of the limit always fit.
    half = limit // 2 - len(CUT)
    if len(data) > half:
        os.ftruncate(log, 0)
        _write(log, CUT + _whole_lines(data, half), 0)
    else:
        _write(log, data, _keep_end(log, size, half - len(data)))


def _whole_lines(data: bytes, size: int) -> bytes:
    """Return the last whole lines of `data` in `size` bytes; of a longer line, its end."""
    # One byte more tells whether the first line is whole.
    end = data[-size - 1 :]
    return end if len(end) <= size else end.partition(b"\n")[2] or end[1:]


def _keep_end(log: int, size: int, kept: int) -> int:
    """Move the last whole lines in `kept` bytes to the front, behind the mark, and cut. Return the new size.

    Who reads the end meanwhile sees the old one.
    """
    begin = _line_start(log, size - kept)
    _write(log, CUT, 0)
    end = len(CUT)
    while data := os.pread(log, PIECE, begin):
        _write(log, data, end)
        begin, end = begin + len(data), end + len(data)
    os.ftruncate(log, end)
    return end


def _line_start(log: int, position: int) -> int:
    """Return where the first line begins at `position` or later; `position` when none does."""
    at = position - 1
    while data := os.pread(log, PIECE, at):
        if b"\n" in data:
            return at + data.index(b"\n") + 1
        at += len(data)
    return position


def _write(log: int, data: bytes, at: int) -> None:
    while data:
        written = os.pwrite(log, data, at)
        data, at = data[written:], at + written


if __name__ == "__main__":
    copy(sys.stdin.fileno(), sys.stdout.fileno(), int(sys.argv[1]))
