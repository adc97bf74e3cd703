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

from tests.fakes.channels import Channels
from tests.fakes.gateway_process import PYTHON, Gateway
from tests.fakes.jupyter_server import JupyterServer
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400), pytest.mark.usefixtures("ipykernel")]
#: How many notebooks do so; KG2AT_TEST_PAIRS=200 takes its time. Those of a kernel do so together.
PAIRS = int(os.environ.get("KG2AT_TEST_PAIRS", "20"))
EACH = 10
#: Seconds between two steps of one notebook, at most: JupyterLab takes 0.06.
SPACING = 0.1


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with Gateway(tmp_path, *PYTHON, quick=True) as running:
        yield running


def notebook(server: JupyterServer, kernel_id: str, seed: int) -> Channels:
    """Open two websockets, drop one, and return the other when a cell has run."""
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


def pairs_of_a_kernel(server: JupyterServer, gateway: Gateway, threads: ThreadPoolExecutor, seed: int) -> None:
    """Let EACH notebooks of one new kernel do so together; no connection is left of those that they dropped."""
    code, kernel = server.request("POST", "/api/kernels", {"name": "python3"})
    assert code == 201, kernel
    kernel_id = kernel["id"]
    notebooks = list(threads.map(lambda each: notebook(server, kernel_id, each), range(seed, seed + EACH)))

    def connections() -> int:
        return int(gateway.request("GET", f"/api/kernels/{kernel_id}").body["connections"])

    def are_alone() -> bool:
        """Whether the dropped are no connections any more. The others have to speak: by that it is noticed."""
        list(threads.map(lambda one: one.ask("kernel_info_request", {}), notebooks))
        return connections() == EACH

    wait_until(are_alone, "the end of those that were dropped")
    for each in notebooks:
        each.close()
    wait_until(lambda: connections() == 0, "their end")
    assert server.request("DELETE", f"/api/kernels/{kernel_id}")[0] == 204


def test_none_loses_its_cell(server: JupyterServer, gateway: Gateway) -> None:
    first = random.randrange(2**32)
    print("The first seed is", first)
    with ThreadPoolExecutor(EACH) as threads:
        for seed in range(first, first + PAIRS, EACH):
            pairs_of_a_kernel(server, gateway, threads, seed)
    assert "Traceback" not in gateway.log
