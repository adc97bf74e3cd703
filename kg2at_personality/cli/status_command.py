"""`jupyter kg2at status`: what a running gateway does, and `status stop`: end kernels."""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any, ClassVar

from traitlets import Bool, Float

from ..errors import KG2ATError
from ..plural import counted
from .command import OK, WRONG
from .gateway_client import GatewayClient
from .gateway_options import GatewayCommand
from .jupyter_command import UsageError
from .output import is_interactive
from .screen import screen
from .status_table import print_status, rows_of


class StopApp(GatewayCommand):
    """`status stop`: end kernels."""

    name = "jupyter-kg2at-status-stop"
    description = "End kernels of a running gateway: status stop ID ..., or status stop --all."
    examples = "jupyter kg2at status stop 0edaa714-63db-4bb8-8e6f-64698737ac2e\njupyter kg2at status stop --all --yes"
    positional = sys.maxsize

    every = Bool(False, help="End all kernels, after a question.").tag(config=True)

    flags: ClassVar[Any] = {  # type: ignore[misc]
        **GatewayCommand.flags,
        "all": ({"StopApp": {"every": True}}, "End all kernels, after a question."),
    }

    def run(self) -> int:
        """End the kernels that are named, or all. Called for `status stop`."""
        if bool(self.extra_args) == self.every:
            raise UsageError("name the kernels to stop, or say --all; `jupyter kg2at status` lists them")
        client = self.client()
        ids = self._all_of(client) if self.every else self.extra_args
        if self.every and ids and not self.confirm(f"End {counted(len(ids), 'kernel')} of {client.url}?"):
            return WRONG
        results = [self._stop(client, kernel_id) for kernel_id in ids]
        if self.as_json:
            self.table(results, {})
        elif not ids:
            print("There is no kernel to stop.")
        return OK if all(row["stopped"] for row in results) else WRONG

    def _all_of(self, client: GatewayClient) -> list[str]:
        """Return the ids of all kernels."""
        return [str(row["kernel_id"]) for row in rows_of(client.status(), "kernels") if "kernel_id" in row]

    def _stop(self, client: GatewayClient, kernel_id: str) -> dict[str, Any]:
        """End one and say so at once. With --all, one that has ended meanwhile is as good."""
        try:
            known = client.stop(kernel_id)
        except KG2ATError as error:
            stopped, said = False, str(error)
        else:
            stopped = known or self.every
            said = f"Kernel {kernel_id} is stopped." if stopped else f"The gateway has no kernel {kernel_id!r}."
        if not self.as_json:
            print(said, file=sys.stdout if stopped else sys.stderr, flush=True)
        return {"kernel_id": kernel_id, "stopped": stopped, "message": said}


class StatusApp(GatewayCommand):
    """`status`: who holds cores, who waits for them."""

    name = "jupyter-kg2at-status"
    description = "What a running gateway does: cluster, kernels, who waits for cores. `status stop` ends kernels."
    examples = (
        "jupyter kg2at status --watch\njupyter kg2at status --url http://gateway:8888\n"
        "jupyter kg2at status --url https://gateway:8888 --client-cert me.pem --client-key me.key --ca-certs ca.pem"
    )
    subcommands: ClassVar[Any] = {"stop": (StopApp, "End kernels: ID ..., or --all.")}  # type: ignore[misc]

    watch = Bool(False, help="Show it again and again, until Ctrl-C.").tag(config=True)
    interval = Float(2.0, help="Seconds between two looks with --watch. Shorter asks the gateway more often.").tag(
        config=True
    )

    aliases: ClassVar[Any] = {**GatewayCommand.aliases, "interval": "StatusApp.interval"}  # type: ignore[misc]
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **GatewayCommand.flags,
        ("w", "watch"): ({"StatusApp": {"watch": True}}, "Show it again and again, until Ctrl-C."),
    }

    def run(self) -> int:
        """Print the status once, or with --watch until Ctrl-C or SIGTERM. Called for `status`."""
        if not 0.1 <= self.interval <= 86400:
            raise UsageError(f"--interval: {self.interval:g} is not between 0.1 and 86400 seconds")
        client = self.client()
        status = client.status()
        if not self.watch:
            self._show(client, status)
            return OK
        # SIGTERM would end it at once, and leave the cursor hidden.
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._watch(client, status)
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, previous)
        return OK

    def _watch(self, client: GatewayClient, status: dict[str, Any]) -> None:
        """Print it every `interval` seconds, until KeyboardInterrupt; a gateway that does not answer is a line."""
        with screen(is_interactive(sys.stdout) and not self.as_json) as put:
            put(lambda: self._show(client, status))
            while True:
                time.sleep(self.interval)
                try:
                    status = client.status()
                except KG2ATError as error:
                    put(lambda said=str(error): self._lost(said))  # type: ignore[misc]
                else:
                    put(lambda status=status: self._show(client, status))  # type: ignore[misc]

    def _lost(self, said: str) -> None:
        print(json.dumps({"error": said}) if self.as_json else said)

    def _show(self, client: GatewayClient, status: dict[str, Any]) -> None:
        if self.as_json:
            print(json.dumps(status, indent=None if self.watch else 2))
        else:
            print_status(client.url, status)
