"""What a kernel says while nobody can take it: kept for its notebook within a bound, and what had to go is counted."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from jupyter_client.session import DELIM

from .message import parsed

#: A message with the channel that it came by, its parts as ZeroMQ hands them over.
Message = tuple[str, list[Any]]
#: What is published and never left out. Without them a notebook would wait for ever, or draw widgets that aren't there.
KEPT = {"status", "error", "execute_input", "comm_open", "comm_close"}
#: Of how many requests it is remembered that output of theirs was left out. That of more is told with the last one.
MAX_OMITTED = 100
#: What a message takes beside its parts' bytes, about: lists, objects and their heads.
OVERHEAD = 500


@dataclass
class Omitted:
    """What was left out of one request's output: a count of messages, and their bytes."""

    parent: dict[str, Any]
    messages: int = 0
    size: int = 0


class OutputBuffer:
    """Messages, the oldest first. Beyond `limit` bytes the oldest output goes; 0 keeps all.

    What counts as output is what a kernel publishes, except KEPT. jupyter_server appends to it as to a list.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        # Numbered, so that both together have one order.
        self._kept: deque[tuple[int, Message]] = deque()
        self._output: deque[tuple[int, Message]] = deque()
        self._next, self._first = 0, -1
        self._omitted: dict[bytes, Omitted] = {}

    def __len__(self) -> int:
        return len(self._kept) + len(self._output)

    def __bool__(self) -> bool:
        return bool(self._kept or self._output or self._omitted)

    def __iter__(self) -> Iterator[Message]:
        """Iterate as over a list, which jupyter_server takes it for. Removes nothing."""
        return iter([message for _, message in sorted([*self._kept, *self._output], key=lambda numbered: numbered[0])])

    @property
    def size(self) -> int:
        """Return the bytes that it takes, about."""
        return self._size

    def bound(self, limit: int) -> None:
        """Have another limit from now on."""
        self._limit = limit
        self._shrink()

    def append(self, message: Message) -> None:
        """Put it behind all others."""
        self._queue_of(message).append((self._next, message))
        self._next += 1
        self._grow(message)

    def put_back(self, message: Message) -> None:
        """Put it before all others."""
        self._queue_of(message).appendleft((self._first, message))
        self._first -= 1
        self._grow(message)

    def pop(self) -> Message:
        """Remove and return the oldest. Raises LookupError when there is none."""
        kept, output = self._kept, self._output
        queue = output if not kept or (output and output[0][0] < kept[0][0]) else kept
        message = queue.popleft()[1]
        self._size -= _size_of(message)
        return message

    def pop_omitted(self) -> list[Omitted]:
        """Return what was left out since the last call, the oldest first. It belongs before what is popped next."""
        omitted, self._omitted = self._omitted, {}
        return list(omitted.values())

    def _queue_of(self, message: Message) -> deque[tuple[int, Message]]:
        return self._output if _is_output(message) else self._kept

    def _grow(self, message: Message) -> None:
        self._size += _size_of(message)
        self._shrink()

    def _shrink(self) -> None:
        while 0 < self._limit < self._size and self._output:
            self._omit(self._output.popleft()[1])

    def _omit(self, message: Message) -> None:
        size = _size_of(message)
        self._size -= size
        parent = _part(message, 2)
        if parent not in self._omitted and len(self._omitted) >= MAX_OMITTED:
            parent = next(reversed(self._omitted))
        omitted = self._omitted.get(parent) or self._omitted.setdefault(parent, Omitted(parsed(parent)))
        omitted.messages += 1
        omitted.size += size - OVERHEAD


def _size_of(message: Message) -> int:
    return OVERHEAD + sum(len(part) for part in message[1])


def _is_output(message: Message) -> bool:
    return message[0] == "iopub" and parsed(_part(message, 1)).get("msg_type") not in KEPT


def _part(message: Message, number: int) -> bytes:
    """Return a part of a message: 0 its signature, 1 its header, 2 its parent's header. Empty when it has none."""
    parts = message[1]
    try:
        return bytes(parts[parts.index(DELIM) + 1 + number])
    except (ValueError, IndexError):
        return b""
