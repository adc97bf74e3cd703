"""What a kernel does, as far as the gateway knows: what an application of it needs now."""

from __future__ import annotations

from dataclasses import dataclass

from ..spark.driver_report import DriverReport

NOTHING = DriverReport()


@dataclass(frozen=True, slots=True)
class KernelWork:
    """A kernel at one moment: whether one of its cells runs, and its driver's last report; None: not known.

    While no cell runs its reports are read more seldom, so that a job may have ended since the last one.
    """

    is_busy: bool = False
    report: DriverReport | None = None

    @property
    def current(self) -> DriverReport:
        """What its driver says, as far as is known; an empty report if it is not."""
        return self.report or NOTHING

    def lacks_executor(self, has_cores: bool) -> bool:
        """Return whether a cell can't go on without an executor: by the report, and if there is none, by the master.

        `has_cores`: the master grants an executor's cores. A driver knows better: the executor may only be starting,
        or the answer may be old.
        """
        return self.is_busy and (not has_cores if self.report is None else self.report.lacks_executors)

    @property
    def is_jobless(self) -> bool:
        """Whether its driver is known to run no job, and to make no SparkContext."""
        return self.report is not None and not self.report.jobs and not self.report.is_starting

    def has_ended_job(self, app_id: str | None) -> bool:
        """Return whether this application is known to run no job, after it has run one at least."""
        report = self.report
        return report is not None and report.idle_since is not None and report.app_id == app_id
