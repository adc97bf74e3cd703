"""Whose jobs are asked for, how often, and when no more. tests/web/spark_ui has gateways, tests/e2e real drivers."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from kg2at_personality.kernels.spark_jobs import MOST_AT_ONCE, SparkJobs
from kg2at_personality.kernels.timing import Timing
from kg2at_personality.spark.driver_report import DriverReport
from tests.fakes.driver_ui import JOB
from tests.fakes.wait import until

QUICK = Timing(jobs_poll=0.01, jobs_watched=0.2)
RUNS = DriverReport(app_id="app-1", jobs=1, ui_port=4040)


class Drivers:
    """The web UIs of kernels, which answer when they are `open`; `asked` are the kernels, `most` asked at a time."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now, self.most = 0, 0
        self.open = asyncio.Event()
        self.open.set()

    async def find(self, kernel: Any) -> Any:
        self.asked.append(kernel.kernel_id)
        return self

    async def running_jobs(self, timeout: float) -> bytes:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await self.open.wait()
        finally:
            self.now -= 1
        return json.dumps([JOB]).encode()


def kernel(kernel_id: str = "k") -> Any:
    made = SimpleNamespace(kernel_id=kernel_id, is_dead=False, report=RUNS)
    made.kind = SimpleNamespace(driver_report=lambda: made.report)
    return made


def run(test: Any) -> None:
    async def main() -> None:
        drivers: Any = Drivers()
        jobs = SparkJobs(drivers, QUICK)
        try:
            await asyncio.wait_for(test(jobs, drivers), 20)
        finally:
            await jobs.close()
        assert drivers.now == 0

    asyncio.run(main())


def test_nobody_looks_any_more() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        jobs.look_at(kernel(), RUNS)
        await until(lambda: len(drivers.asked) > 2, "several questions")
        assert jobs.rows("k", RUNS)[0]["id"] == 3
        await until(lambda: not jobs.rows("k", RUNS), "the end")
        asked = len(drivers.asked)
        jobs.look_at(kernel(), RUNS)
        await until(lambda: len(drivers.asked) > asked, "questions again")

    run(test)


def test_many_looks_are_one_question_at_a_time() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        drivers.open.clear()
        one = kernel()
        for _ in range(100):
            jobs.look_at(one, RUNS)
        await until(lambda: drivers.now == 1, "the question")
        assert drivers.asked == ["k"] and jobs.rows("k", RUNS) == []
        drivers.open.set()
        await until(lambda: jobs.rows("k", RUNS), "the answer")

    run(test)


def test_many_kernels() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        drivers.open.clear()
        kernels = [kernel(f"k{number}") for number in range(3 * MOST_AT_ONCE)]
        for each in kernels:
            jobs.look_at(each, RUNS)
        await until(lambda: drivers.now == MOST_AT_ONCE, "the first questions")
        drivers.open.set()
        await until(lambda: set(drivers.asked) == {each.kernel_id for each in kernels}, "all of them")
        assert drivers.most == MOST_AT_ONCE

    run(test)


def test_the_jobs_end_and_kernels_die() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        ends, dies = kernel("ends"), kernel("dies")
        for each in (ends, dies):
            jobs.look_at(each, RUNS)
        await until(lambda: jobs.rows("ends", RUNS) and jobs.rows("dies", RUNS), "both")
        ends.report, dies.is_dead = DriverReport(app_id="app-1"), True
        await until(lambda: not jobs.rows("ends", RUNS) and not jobs.rows("dies", RUNS), "their end")

    run(test)


def test_without_jobs_nobody_is_asked() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        jobs.look_at(kernel(), DriverReport(app_id="app-1", ui_port=4040))
        jobs.look_at(kernel("other"), RUNS)
        await until(lambda: jobs.rows("other", RUNS), "the other's")
        assert "k" not in drivers.asked

    run(test)


def test_the_gateways_end() -> None:
    async def test(jobs: SparkJobs, drivers: Drivers) -> None:
        drivers.open.clear()
        jobs.look_at(kernel(), RUNS)
        await until(lambda: drivers.now, "the question")
        await jobs.close()
        assert drivers.now == 0
        jobs.look_at(kernel(), RUNS)
        await asyncio.sleep(0)
        assert drivers.asked == ["k"]

    run(test)
