"""The events of kernels, as jupyter_events writes them: Jupyter Server's own, and kg2at's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyter_events import EventLogger
from jupyter_server import DEFAULT_EVENTS_SCHEMA_PATH

from .journal import CoreWaitResult, Died, Entry, Interrupted, KernelFacts, RestartResult, Started, StartResult, Stopped
from .outcomes import STARTED, Outcome

#: kg2at's events, and Jupyter Server's (ServerKernelManager), which Kernel Gateway's kernels do not emit.
LIVES, ACTIONS = "urn:kg2at:kernels:v1", "https://events.jupyter.org/jupyter_server/kernel_actions/v1"
SCHEMAS = (
    Path(__file__).with_name("kernel_events.yaml"),
    DEFAULT_EVENTS_SCHEMA_PATH / "kernel_actions" / "v1.yaml",
)


class KernelEvents:
    """Emits an event or two for an entry of the journal. Without a handler `logger` discards them at once."""

    def __init__(self, logger: EventLogger) -> None:
        self._logger = logger
        for schema in SCHEMAS:
            logger.register_event_schema(schema)
        #: Kernels that users have and that have not answered yet.
        self._starting: set[str] = set()

    def hear(self, entry: Entry) -> None:
        """Called by the journal with each entry."""
        life, action = _life(entry), self._action(entry)
        if action is not None:
            self._logger.emit(schema_id=ACTIONS, data=action)
        if life is not None:
            kernel = entry.kernel
            about = {"kernel_id": kernel.kernel_id, "kernel_name": kernel.kernel_name, "user": kernel.user}
            self._logger.emit(schema_id=LIVES, data=about | {"cores": kernel.cores, "reason": ""} | life)

    def _action(self, entry: Entry) -> dict[str, Any] | None:
        """Return Jupyter Server's event, with its words; None for what it has none for."""
        kernel = entry.kernel
        if isinstance(entry, Started):
            self._starting.add(kernel.kernel_id)
            return _done(kernel, "start", "started")
        if isinstance(entry, StartResult | Stopped):
            had_kernel = kernel.kernel_id in self._starting
            self._starting.discard(kernel.kernel_id)
            if isinstance(entry, StartResult):
                return None if had_kernel else _failed(kernel, "start", entry.outcome, entry.message)
            return _done(kernel, "shutdown", "shutdown") if kernel.kernel_name else None
        if isinstance(entry, Died) and entry.is_restarted:
            return _done(kernel, "restart", "restarted")
        if isinstance(entry, RestartResult | Interrupted):
            action = "restart" if isinstance(entry, RestartResult) else "interrupt"
            if entry.outcome == STARTED:
                return _done(kernel, action, f"{action}ed")
            return _failed(kernel, action, entry.outcome, entry.message)
        return None


def _life(entry: Entry) -> dict[str, Any] | None:
    """Return what is particular to kg2at's event; None for what there is none for."""
    if isinstance(entry, CoreWaitResult) and entry.outcome == STARTED:
        return {"action": "admitted", "seconds": entry.seconds}
    if isinstance(entry, StartResult):
        return _end_of_start(entry)
    if isinstance(entry, Died):
        return {"action": "died", "seconds": entry.seconds, "reason": "restarted" if entry.is_restarted else "died"}
    if isinstance(entry, Stopped) and (entry.had_lived or entry.seconds):
        by = {} if entry.by is None else {"by": entry.by}
        return {"action": "stopped", "seconds": entry.seconds, "reason": entry.how} | by
    return None


def _end_of_start(entry: StartResult) -> dict[str, Any]:
    kind, reason = entry.outcome
    if entry.outcome == STARTED:
        return {"action": kind, "seconds": entry.seconds, "warm": entry.is_warm}
    is_given_up = kind not in ("refused", "failed")
    action, reason = ("cancelled", kind) if is_given_up else (kind, reason)
    return {"action": action, "seconds": entry.seconds, "reason": reason}


def _done(kernel: KernelFacts, action: str, done: str) -> dict[str, Any]:
    return _said(kernel, action, "success", f"Kernel {kernel.kernel_id} was {done}.")


def _failed(kernel: KernelFacts, action: str, outcome: Outcome, message: str) -> dict[str, Any] | None:
    """As Jupyter Server, which tells nothing of what is cancelled."""
    return _said(kernel, action, "error", message) if outcome.kind in ("refused", "failed") else None


def _said(kernel: KernelFacts, action: str, status: str, message: str) -> dict[str, Any]:
    about = {"kernel_id": kernel.kernel_id, "kernel_name": kernel.kernel_name}
    return about | {"action": action, "status": status, "msg": message}
