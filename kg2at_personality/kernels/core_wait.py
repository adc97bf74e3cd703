"""What the notebook of a kernel is told while its cell waits for cores."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CoreWait:
    """A kernel whose cell is busy and can't go on until its application has an executor.

    `message` is one line of plain text, without secrets. `is_over`: the wait has lasted for `job_wait_timeout` seconds,
    so that the gateway interrupts the cell, which ends with `message` as its error.
    """

    message: str
    is_over: bool = False
