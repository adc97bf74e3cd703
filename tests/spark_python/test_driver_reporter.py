"""The driver's report: written when it has changed, into a file that has to be there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.driver_report import DriverReport, parsed
from kg2at_personality.spark_python.driver_reporter import DriverReporter
from tests.fakes.wait import wait_until


class Driver:
    """A driver that makes its context, or whose JVM has just gone."""

    is_starting = True
    context: Any = None

    def lose(self, context: Any) -> None:
        raise AssertionError


@pytest.fixture
def report(tmp_path: Path) -> Path:
    return tmp_path / "kernel.report"


def test_a_report(report: Path) -> None:
    report.touch(0o600)
    driver = Driver()
    reporter = DriverReporter(str(report), driver)
    reporter.start()
    wait_until(lambda: report.stat().st_size == 512, "the report")
    assert parsed(report.read_bytes()) == DriverReport(is_starting=True)
    driver.is_starting, driver.context = False, object()  # no JVM answers
    reporter.wake()
    wait_until(lambda: not json.loads(report.read_bytes())["is_starting"], "the next")
    assert parsed(report.read_bytes()) == DriverReport() and report.stat().st_size == 512


def test_without_the_file(report: Path) -> None:
    DriverReporter(str(report), Driver()).start()
    assert not report.exists()
