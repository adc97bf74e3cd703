"""What it costs the gateway's loop to show all kernels: each way to see them, of 1,000 kernels and 1,000 that wait."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from jupyter_client.jsonutil import json_default
from prometheus_client import generate_latest

from kg2at_personality.kernels.status import Status
from kg2at_personality.kernels.user import ADMINISTRATOR
from kg2at_personality.web.kernel_metrics import KernelMetrics
from kg2at_personality.web.page.html_handler import TEMPLATES
from kg2at_personality.web.page.page_view import page_of
from tests.bench.bench import Bench
from tests.bench.measured_gateway import MIB
from tests.bench.quantities import OVERVIEW
from tests.fakes.many_kernels import ManyKernels
from tests.fakes.toree import FakeSpark


def _status(many: ManyKernels) -> str:
    return json.dumps(Status(many.manager, ADMINISTRATOR).rows(), default=json_default)


def _page(many: ManyKernels) -> str:
    page = page_of(Status(many.manager, ADMINISTRATOR).rows(), ADMINISTRATOR)
    return TEMPLATES.get_template("page.html").render(page=page, nonce="n", base="/kg2at/")


def _metrics(many: ManyKernels) -> bytes:
    return generate_latest(KernelMetrics(many.manager))  # type: ignore[arg-type]


#: Quantity -> what makes the answer.
OVERVIEWS: dict[str, Callable[[ManyKernels], object]] = {"status": _status, "page": _page, "metrics": _metrics}
#: How often each is made before it is seen what stays in memory.
REPEATED = 100


def overviews(bench: Bench, rounds: int) -> None:
    """Make each overview of a gateway without kernels, and with many; and see what that leaves in its memory."""
    with pytest.MonkeyPatch.context() as patch:
        (bench.scratch / "overviews").mkdir()
        spark = FakeSpark(bench.scratch / "overviews").enter(patch)
        for side, count in OVERVIEW.items():
            asyncio.run(_measure(bench, side, count, spark.runtime, rounds))


async def _measure(bench: Bench, side: str, count: int, runtime: Path, rounds: int) -> None:
    many = ManyKernels(count, runtime)
    try:
        await asyncio.sleep(0)  # those who wait come
        for made in OVERVIEWS.values():
            made(many)  # what one takes while it is made is there for the next
        before = _memory()
        for quantity, made in OVERVIEWS.items():
            for _ in range(rounds):
                # Not what other programs take meanwhile.
                began = time.thread_time()
                made(many)
                bench.samples.add(quantity, side, (time.thread_time() - began) * 1000)
        for _ in range(REPEATED):
            for made in OVERVIEWS.values():
                made(many)
        bench.samples.add("overview_memory", side, _memory() - before)
    finally:
        await many.end()


def _memory() -> float:
    gc.collect()
    return float(psutil.Process().memory_info().rss / MIB)
