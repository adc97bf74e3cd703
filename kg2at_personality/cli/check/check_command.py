"""`jupyter kg2at check`: whether this machine is ready for the first notebook."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar

from traitlets import Bool, Float, Unicode

from ...errors import ConfigError
from ...system.time_limits import within
from ..command import OK, WRONG, Command
from ..output import print_json, print_table
from . import cluster_capacity, https, machine, network, python_packages, spark_configuration, spark_installation
from .finding import ERROR, Finding, error
from .subject import Subject, subject_of

COLUMNS = {"level": "", "check": "what", "said": "how it is", "remedy": "what to do"}
Check = Callable[[Subject], Iterator[Finding]]
#: In the order in which they are printed.
CHECKS: Mapping[str, Check] = {
    "Python": python_packages.python,
    "installation": spark_installation.installation,
    "configuration": spark_configuration.configuration,
    "encodings": machine.encodings,
    "master": cluster_capacity.master,
    "memory": machine.memory,
    "SPARK_LOCAL_IP": machine.local_ip,
    "ports": network.ports,
    "address": network.address,
    "users": network.users,
    "https": https.https,
    "state directory": machine.state_directory,
    "random numbers": machine.random_numbers,
    "TERM": machine.terminal,
}
#: Seconds for spark-env.sh and then all checks, which run side by side; a whole `check` has to end within 3.
LIMIT = 2.1


class CheckApp(Command):
    """Print a line for each thing that a notebook needs."""

    name = "jupyter-kg2at-check"
    description = """Is this machine ready for the first notebook?

    One line for each thing that a notebook needs: ok, warning or error, and what to do. It ends within 3 seconds, also
    when nothing answers. With --start it then starts a gateway, runs a Spark job in a kernel of each kind that is
    offered, and ends all of it. Exit status 1 when there is an error; warnings don't count."""
    examples = """
    jupyter kg2at check
    jupyter kg2at check --start
    jupyter kg2at check --KG2ATPersonality.spark_home=/opt/spark --KernelGatewayApp.ip=0.0.0.0
    """

    start_kernel = Bool(False, help="Also run a Spark job in a kernel of each kind that is offered.").tag(config=True)
    start_timeout = Float(
        180.0, min=1, help="Seconds that --start may take. A busy cluster needs longer; a shorter limit tells sooner."
    ).tag(config=True)
    random_device = Unicode("/dev/urandom", help="The device that random numbers come from.").tag(config=True)

    flags: ClassVar[Any] = Command.flags | {  # type: ignore[misc]
        "start": (
            {"CheckApp": {"start_kernel": True}},
            "Also run a Spark job in a kernel of each kind that is offered.",
        ),
    }

    def run(self) -> int:
        """Print the findings, with --start those of a trial run too. Called by Command."""
        found = self.findings()
        self._show(found)
        if self.start_kernel:
            found += self._started(found)
        if self.as_json:
            print_json([asdict(each) for each in found])
        return self._end(WRONG if _any_error(found) else OK)

    def _show(self, found: list[Finding]) -> None:
        """Print the findings. No-op with --json, which prints all of them at the end."""
        if not self.as_json:
            print_table(map(asdict, found), COLUMNS)

    def _started(self, found: list[Finding]) -> list[Finding]:
        """Return what the trial run found; nothing after an error, which it would only meet again."""
        if _any_error(found):
            print(f"{self.name}: no kernel is started; mend the errors first.", file=sys.stderr)
            return []
        from .trial_run import trial_run  # imports tornado's clients, which no other check needs

        started = trial_run(self, self.start_timeout)
        self._show(started)
        return started

    def findings(self) -> list[Finding]:
        """Return what all checks found, within LIMIT seconds."""
        began = time.monotonic()
        try:
            subject = subject_of(self, self.random_device)
        except ConfigError as problem:
            return [error("settings", str(problem), "mend the command line, the configuration file or the variable")]
        left = LIMIT - (time.monotonic() - began)
        answers = within(left, {name: partial(_all, check, subject) for name, check in CHECKS.items()})
        return [finding for name, answer in answers.items() for finding in _told(name, answer)]

    def _end(self, status: int) -> int:
        """Return `status`, or exit with it at once if a thread still hangs, as in a name look-up: Python would wait."""
        if threading.active_count() > 1:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        return status


def _any_error(found: list[Finding]) -> bool:
    return any(each.level == ERROR for each in found)


def _all(check: Check, subject: Subject) -> list[Finding]:
    return list(check(subject))


def _told(name: str, answer: list[Finding] | Exception) -> list[Finding]:
    """Return a check's findings; one error if it raised an exception, so that the other checks still count."""
    if isinstance(answer, list):
        return answer
    return [error(name, str(answer) or type(answer).__name__, "if this machine is overloaded, check again later")]
