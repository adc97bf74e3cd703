"""Hosts that are this machine."""

from __future__ import annotations

import socket

import pytest

from kg2at_personality.system.own_hosts import hosts_here, is_here


def test_hosts_of_this_machine() -> None:
    assert hosts_here(["127.0.0.1", "localhost", "192.0.2.1", "no.such.invalid"]) == {"127.0.0.1", "localhost"}
    assert hosts_here([]) == set()
    assert is_here("[127.0.0.1]")
    with pytest.raises(socket.gaierror):
        is_here("no.such.invalid")
