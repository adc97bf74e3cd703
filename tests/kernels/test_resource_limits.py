"""How many descriptors and sockets there may be."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest
import zmq

from kg2at_personality.errors import NoRoom
from kg2at_personality.kernels import resource_limits


@pytest.fixture
def limits() -> Iterator[tuple[int, int]]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield soft, hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def context() -> Iterator[zmq.Context[zmq.Socket[bytes]]]:
    with zmq.Context() as made:
        yield made


def test_the_soft_limit_is_raised_and_zeromq_s_with_it(
    limits: tuple[int, int], context: zmq.Context[zmq.Socket[bytes]]
) -> None:
    _, hard = limits
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    resource_limits.raise_limits(context)
    expected = resource_limits.MOST if hard == resource.RLIM_INFINITY else min(hard, resource_limits.MOST)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (expected, hard)
    assert context.get(zmq.MAX_SOCKETS) == min(expected, context.get(zmq.SOCKET_LIMIT)) > 1023
    context.socket(zmq.DEALER).close()  # it takes them


def test_a_limit_that_can_t_be_raised(
    limits: tuple[int, int], context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As macOS refuses what its kern.maxfilesperproc forbids."""

    def refuse(*_: object) -> None:
        raise ValueError("not allowed")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (2000, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    resource_limits.raise_limits(context)
    assert context.get(zmq.MAX_SOCKETS) == 2000


def test_where_nobody_tells_of_limits(context: zmq.Context[zmq.Socket[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource_limits, "resource", None)
    resource_limits.raise_limits(context)
    assert context.get(zmq.MAX_SOCKETS) == min(resource_limits.MOST, context.get(zmq.SOCKET_LIMIT))


def test_descriptors_are_counted_by_the_system_and_given_back(limits: tuple[int, int]) -> None:
    resource_limits.check_descriptors(10)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 10, limits[1]))
    with pytest.raises(NoRoom, match=r"Too many open files: the gateway has no file descriptors left.*ulimit -n"):
        resource_limits.check_descriptors(10)
    again = os.open(os.devnull, os.O_RDONLY)
    os.close(again)
    assert again == free
