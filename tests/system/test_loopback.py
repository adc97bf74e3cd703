"""Addresses that only this machine reaches."""

from __future__ import annotations

import pytest

from kg2at_personality.system.loopback import is_loopback

HERE = ["127.0.0.1", "127.1.2.3", "::1", "[::1]", "localhost"]
ELSEWHERE = ["0.0.0.0", "::", "[::]", "", "*", "10.0.0.1", "localhost.example", "127.0.0.1.example", "::ffff:10.0.0.1"]


@pytest.mark.parametrize(("ip", "expected"), [*((ip, True) for ip in HERE), *((ip, False) for ip in ELSEWHERE)])
def test_loopback(ip: str, expected: bool) -> None:
    assert is_loopback(ip) is expected
