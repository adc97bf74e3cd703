"""What all tests stand on."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest

# In the background of a shell SIGINT is ignored, and whatever a test starts would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def log_filters() -> Iterator[None]:
    """A gateway in this process cleans what the handlers of its log get; those of pytest are there for all tests."""
    before = [(handler, list(handler.filters)) for handler in logging.getLogger().handlers]
    yield
    for handler, filters in before:
        handler.filters[:] = filters
