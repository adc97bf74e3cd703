"""Ports on which a program can listen."""

from __future__ import annotations

import errno
import socket

import pytest

from kg2at_personality.system.free_ports import bind_error, free_ports, is_free

IP = "127.0.0.1"


def test_a_port_is_free_until_somebody_listens() -> None:
    with socket.create_server((IP, 0)) as taken:
        port = taken.getsockname()[1]
        assert not is_free(IP, port)
        error = bind_error(IP, port)
        assert error is not None and error.errno == errno.EADDRINUSE
        # On every address it can't be had either.
        assert bind_error("", port) is not None
    assert is_free(IP, port) and bind_error("", port) is None


def test_an_address_of_another_machine_is_no_answer() -> None:
    with pytest.raises(OSError, match="assign"):
        is_free("192.0.2.1", 40000)


def test_wanted_ports_and_any_others() -> None:
    [wanted] = free_ports(IP, 0)
    first, *others = free_ports(IP, wanted, 0, 0)
    assert first == wanted and len({first, *others}) == 3
    assert all(is_free(IP, port) for port in (first, *others))


def test_a_wanted_port_that_is_taken_is_told() -> None:
    with socket.create_server((IP, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            free_ports(IP, 0, port)
    assert caught.value.filename == f"port {port}"
