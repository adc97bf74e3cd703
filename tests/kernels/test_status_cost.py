"""What a status costs the event loop where there are many kernels."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.jsonutil import json_default

from kg2at_personality.kernels.status import Status
from kg2at_personality.kernels.user import ADMINISTRATOR, GatewayUser
from tests.cost import Calls
from tests.fakes.many_kernels import ManyKernels
from tests.fakes.toree import FakeSpark, reported

COUNT = 1000


@pytest.fixture
def many(io_loop: Any, spark: FakeSpark) -> Iterator[ManyKernels]:
    async def make() -> ManyKernels:
        return ManyKernels(COUNT, spark.runtime)

    made = io_loop.run_sync(make)
    yield made
    io_loop.run_sync(made.end)


def status(many: ManyKernels, user: GatewayUser = ADMINISTRATOR) -> str:
    return json.dumps(Status(many.manager, user).rows(), default=json_default)


@pytest.mark.gen_test(timeout=100)
async def test_1000_kernels_and_1000_that_wait(many: ManyKernels) -> None:
    found = json.loads(status(many))
    assert (len(found["kernels"]), len(found["queue"])) == (COUNT, COUNT)
    with Calls() as calls:
        status(many)
    assert calls.count < 150_000, "measured: 20 ms for 106,000"


@pytest.mark.gen_test(timeout=100)
async def test_it_leaves_nothing_in_memory(many: ManyKernels) -> None:
    status(many)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(3):
        status(many)
    gc.collect()
    left = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert left < 500_000


@pytest.mark.gen_test(timeout=100)
async def test_a_report_that_has_not_changed_is_not_parsed_again(
    many: ManyKernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    status(many)
    kernel = many.manager.kernels()[7]
    kernel.kind.files.report.write_bytes(reported(app_id="app-7", jobs=1))  # type: ignore[attr-defined]
    parsed: list[bytes] = []

    def noted(content: bytes) -> None:
        parsed.append(content)

    monkeypatch.setattr("kg2at_personality.kernels.provisioner.parsed", noted)
    status(many)
    assert len(parsed) == 1 and b"app-7" in parsed[0]
