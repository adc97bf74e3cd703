"""A gateway in the test's own process, as for the tests of its handlers."""

from __future__ import annotations

from tests.web.conftest import environ, gateway, settings

__all__ = ["environ", "gateway", "settings"]
