"""The fixtures that several files of this folder use."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.cli.status_server import Fake


@pytest.fixture
def fake() -> Iterator[Fake]:
    """Return a gateway that answers what a test says."""
    with Fake() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
