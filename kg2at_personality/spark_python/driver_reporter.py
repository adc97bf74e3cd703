"""Tells the gateway what the driver does, by a small file that it writes again and again."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from typing import Any, Protocol

from . import pyspark_internals

#: Seconds between two looks while something runs, and while nothing does.
BUSY_INTERVAL, IDLE_INTERVAL = 0.3, 2.0
SIZE = 512
#: The threads of streaming queries (StreamExecution) and of DStreams (JobGenerator), in Java's list of all threads.
_STREAM = re.compile(r"Thread\[(?:#\d+,)?(?:stream execution thread for |JobGenerator,)")


#: How Scala shows the address of the web UI, an Option, if there is one.
_UI = re.compile(r"Some\(http(s?)://.*:(\d+)/?\)")
_NOTHING = {"app_id": "", "jobs": 0, "tasks": 0, "executors": 0, "streams": 0, "ui_port": 0, "has_https": False}


class Reported(Protocol):
    """The driver that is reported of."""

    @property
    def is_starting(self) -> bool: ...

    @property
    def context(self) -> Any: ...

    def lose(self, context: Any) -> None: ...


class DriverReporter:
    """Writes the report into a file that has to be there, each time over the last one, when it has changed."""

    def __init__(self, path: str, driver: Reported) -> None:
        self._path, self._driver = path, driver
        self._look_now = threading.Event()
        self._work = Work()
        self._said = ""

    def start(self) -> None:
        """Report from now on, in a thread that nobody waits for. No-op without the file."""
        if os.access(self._path, os.W_OK):
            threading.Thread(target=self._run, name="kg2at driver report", daemon=True).start()

    def wake(self) -> None:
        """Look at once: a cell begins."""
        self._look_now.set()

    def _run(self) -> None:
        with open(self._path, "r+b", buffering=0) as file:
            while True:
                report = self._report()
                text = json.dumps(report)
                if text != self._said and len(text) <= SIZE:
                    file.seek(0)
                    file.write(text.ljust(SIZE).encode("ascii"))
                    self._said = text
                is_busy = report["is_starting"] or report["jobs"] or report["streams"]
                self._look_now.wait(BUSY_INTERVAL if is_busy else IDLE_INTERVAL)
                self._look_now.clear()

    def _report(self) -> dict[str, Any]:
        context = self._driver.context
        try:
            if context is not None and pyspark_internals.java_context(context).isStopped():
                self._driver.lose(context)
                context = None
            return self._work.report(self._driver.is_starting, context)
        except Exception:
            return self._work.report(self._driver.is_starting, None)  # the JVM, or the context, has ended meanwhile


class Work:
    """What runs in the driver, and when it was last seen to run."""

    def __init__(self) -> None:
        self._begun, self._jobs = 0, 0
        self._idle_since: float | None = None

    def report(self, is_starting: bool, context: Any) -> dict[str, Any]:
        """Return the report's fields; `context` is the SparkContext or None. Raises what py4j raises."""
        seen = _NOTHING if context is None else self._seen(context)
        return {"is_starting": is_starting, **seen, "idle_since": self._idle_since}

    def _seen(self, context: Any) -> dict[str, Any]:
        spark = pyspark_internals.java_context(context)
        scheduler, tracker = spark.dagScheduler(), spark.statusTracker()
        jobs, begun = scheduler.activeJobs().size(), scheduler.numTotalJobs()
        if jobs:
            self._idle_since = None
        elif self._jobs or begun > self._begun:
            self._idle_since = time.time()
        self._jobs, self._begun = jobs, begun
        executors = len(tracker.getExecutorInfos()) - (0 if spark.isLocal() else 1)
        return {
            "app_id": spark.applicationId(),
            "jobs": jobs,
            "tasks": _tasks(tracker) if jobs else 0,
            "executors": max(executors, 0),
            "streams": _streams(pyspark_internals.gateway_of(context)),
            **web_ui(spark.uiWebUrl().toString()),
        }


def _tasks(tracker: Any) -> int:
    """Return how many tasks of the active stages have not ended."""
    stages = (tracker.getStageInfo(stage) for stage in list(tracker.getActiveStageIds()))
    return sum(stage.get().numTasks() - stage.get().numCompletedTasks() for stage in stages if stage.isDefined())


def web_ui(url: str) -> dict[str, Any]:
    """Return the report's fields of the web UI, by what Scala shows of SparkContext.uiWebUrl."""
    match = _UI.fullmatch(url)
    return {"ui_port": int(match[2]) if match else 0, "has_https": bool(match and match[1])}


def _streams(gateway: Any) -> int:
    """Return how many streaming queries there are, of all sessions. All threads come in one answer."""
    threads = gateway.jvm.java.lang.Thread.getAllStackTraces().keySet()
    return len(_STREAM.findall(threads.toString()))
