"""What a kernel does, as far as the gateway knows: what an application of it needs now."""

from __future__ import annotations

from dataclasses import dataclass

from ..spark.driver_report import DriverReport


@dataclass(frozen=True, slots=True)
class KernelWork:
    """A kernel at one moment: whether one of its cells runs, and its driver's last report; None: not known.

    While no cell runs its reports are read more seldom, so that a job may have ended since the last one.
    """

    is_busy: bool = False
    report: DriverReport | None = None

    @property
    def tasks(self) -> int:
        """How many tasks run or wait, as far as is known."""
        return self.report.tasks if self.report is not None else 0

    @property
    def executors(self) -> int:
        """How many executors have registered with the driver, as far as is known."""
        return self.report.executors if self.report is not None else 0

    @property
    def needs_executor(self) -> bool:
        """Whether a cell may be unable to go on without an executor: its driver says so, or nobody knows."""
        return self.is_busy and (self.report is None or self.report.lacks_executors)

    @property
    def is_jobless(self) -> bool:
        """Whether its driver is known to run no job, and to make no SparkContext."""
        return self.report is not None and not self.report.jobs and not self.report.is_starting

    def has_ended_job(self, app_id: str | None) -> bool:
        """Return whether this application is known to run no job, after it has run one at least."""
        report = self.report
        return report is not None and report.idle_since is not None and report.app_id == app_id
