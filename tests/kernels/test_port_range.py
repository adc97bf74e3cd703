from __future__ import annotations

import socket

import pytest

from kg2at_personality.errors import NoFreePort
from kg2at_personality.kernels.port_range import PORTS_PER_KERNEL, PortRange
from tests.fakes.ports import held_range

IP = "127.0.0.1"


def some(size: int) -> PortRange:
    return PortRange.parse(held_range(size))


@pytest.mark.parametrize("text", ["41000-41999", " 41000 - 41999 ", "41000-41999"])
def test_a_range(text: str) -> None:
    ports = PortRange.parse(text)
    assert (ports.first, ports.last) == (41000, 41999)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "FIRST-LAST"),
        ("41000", "FIRST-LAST"),
        ("41000-", "FIRST-LAST"),
        ("-41000", "FIRST-LAST"),
        ("41000-41999-42000", "FIRST-LAST"),
        ("a-b", "FIRST-LAST"),
        ("41000:41999", "FIRST-LAST"),
        ("80-90", "between 1024 and 65535"),
        ("65000-70000", "between 1024 and 65535"),
        ("42000-41000", "between 1024 and 65535"),
        ("41000-41003", "fewer than the 5 ports"),
    ],
)
def test_what_is_no_range(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        PortRange.parse(text)
    assert repr(text) in str(caught.value)


def test_a_range_of_five_is_enough() -> None:
    ports = some(5)
    assert ports.take(IP) == list(range(ports.first, ports.last + 1))


def test_no_two_kernels_share_a_port() -> None:
    ports = some(20)
    taken = [port for _ in range(4) for port in ports.take(IP)]
    assert sorted(taken) == list(range(ports.first, ports.last + 1))


def test_when_none_is_left_it_says_so_and_takes_none() -> None:
    ports = some(8)
    first = ports.take(IP)
    with pytest.raises(NoFreePort) as caught:
        ports.take(IP)
    assert caught.value.status == 503
    assert f"{ports.first}-{ports.last}" in str(caught.value) and "kernel_ports" in str(caught.value)
    ports.give_back(first)
    assert ports.take(IP) == first


def test_given_back_twice_is_nothing() -> None:
    ports = some(10)
    first, second = ports.take(IP), ports.take(IP)
    ports.give_back(first)
    ports.give_back(first)
    assert ports.take(IP) == first
    with pytest.raises(NoFreePort):
        ports.take(IP)
    assert len(second) == PORTS_PER_KERNEL


def test_ports_that_others_listen_on_are_passed_over() -> None:
    ports = some(6)
    with socket.create_server((IP, ports.first + 2)):
        assert ports.first + 2 not in ports.take(IP)


def test_a_port_that_a_kernel_just_left_is_free() -> None:
    """A connection it closed stays in TIME_WAIT for a minute."""
    ports = some(5)
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((IP, ports.first))
        listener.listen()
        with socket.create_connection((IP, ports.first)):
            accepted, _ = listener.accept()
            accepted.close()
    assert ports.first in ports.take(IP)


def test_an_address_that_is_not_here_is_an_error_of_its_own() -> None:
    with pytest.raises(OSError, match="assign requested address"):
        some(5).take("192.0.2.1")


def test_version_6_addresses() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    try:
        assert len(some(5).take("::1")) == PORTS_PER_KERNEL
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
