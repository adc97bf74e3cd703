"""Notebooks that drop a websocket and open another while their kernel starts, as JupyterLab does: none loses a cell.

jupyter_server hands both on within 1 ms, in any order, and never closes the one that was dropped meanwhile.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.gateway import Channels, Gateway
from tests.e2e.survival import until
from tests.e2e.test_clients import JupyterServer, server

__all__ = ["server"]

pytestmark = [pytest.mark.timeout(400), pytest.mark.usefixtures("ipykernel")]
#: How many notebooks do so; KG2AT_TEST_PAIRS=200 takes its time. Those of a kernel do so together.
PAIRS = int(os.environ.get("KG2AT_TEST_PAIRS", "20"))
EACH = 10
#: Seconds between two steps of one notebook, at most: JupyterLab takes 0.06.
SPACING = 0.1
PYTHON = ("--KG2ATPersonality.inject_kernelspecs=False", "--KernelGatewayApp.default_kernel_name=python3")


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, *PYTHON, quick=True) as running:
        yield running


def notebook(server: JupyterServer, kernel_id: str, seed: int) -> Channels:
    """The websocket that a notebook goes on with, after a cell of it."""
    chance, session = random.Random(seed), uuid.uuid4().hex
    pair = []
    for _ in range(2):
        time.sleep(chance.uniform(0, SPACING) * chance.choice([0, 1]))
        pair.append(server.connect(kernel_id, session, 60))
    chance.shuffle(pair)
    dropped, living = pair
    if chance.choice([True, False]):
        dropped.send("kernel_info_request", {})
    cell = living.execute(f"print({seed})") if chance.choice([True, False]) else ""
    time.sleep(chance.uniform(0, SPACING) * chance.choice([0, 1]))
    dropped.close()
    assert living.finish(cell or living.execute(f"print({seed})"), 60).text.strip() == str(seed)
    return living


def test_none_loses_its_cell(server: JupyterServer, gateway: Gateway) -> None:
    first = random.randrange(2**32)
    print("The first seed is", first)
    with ThreadPoolExecutor(EACH) as threads:
        for seed in range(first, first + PAIRS, EACH):
            code, kernel = server.request("POST", "/api/kernels", {"name": "python3"})
            assert code == 201, kernel
            kernel_id = kernel["id"]
            notebooks = list(threads.map(lambda each: notebook(server, kernel_id, each), range(seed, seed + EACH)))  # noqa: B023

            def is_alone() -> bool:
                """Whether those that were dropped are no connections any more: the others speak."""
                list(threads.map(lambda each: each.ask("kernel_info_request", {}), notebooks))  # noqa: B023
                time.sleep(0.5)
                row = gateway.request("GET", f"/api/kernels/{kernel_id}").body  # noqa: B023
                return bool(row["connections"] == EACH)

            until(is_alone)
            for each in notebooks:
                each.close()
            until(lambda: gateway.request("GET", f"/api/kernels/{kernel_id}").body["connections"] == 0)  # noqa: B023
            assert server.request("DELETE", f"/api/kernels/{kernel_id}")[0] == 204
    assert "Traceback" not in gateway.log
