"""The driver's report: written when it has changed, into a file that has to be there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.driver_report import DriverReport, parsed
from kg2at_personality.spark_python.driver_reporter import DriverReporter, web_ui
from tests.fakes.toree import reported
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


@pytest.mark.parametrize(
    ("url", "port", "has_https"),
    [
        ("None", 0, False),
        ("Some(http://some_host:4040)", 4040, False),
        ("Some(https://[fd00::1]:4440)", 4440, True),
        ("Some(http://elsewhere)", 0, False),
    ],
)
def test_where_the_web_ui_is(url: str, port: int, has_https: bool) -> None:
    assert web_ui(url) == {"ui_port": port, "has_https": has_https}


def test_a_report_of_an_earlier_gateways_driver() -> None:
    told = {"is_starting": False, "app_id": "a", "jobs": 1, "tasks": 2, "executors": 1, "streams": 0}
    report = parsed(json.dumps(told | {"idle_since": None}).ljust(512).encode())
    assert report == DriverReport(app_id="a", jobs=1, tasks=2, executors=1, ui_port=None)


@pytest.mark.parametrize("changes", [{"ui_port": 65536}, {"ui_port": -1}, {"ui_port": "4040"}, {"has_https": 1}])
def test_a_port_that_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        parsed(reported(**changes))


def test_without_the_file(report: Path) -> None:
    DriverReporter(str(report), Driver()).start()
    assert not report.exists()
