"""What a gateway that was killed may leave: nothing that no kernel owns."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any

from websocket import WebSocketException

from kg2at_personality.kernels.kernel_processes import find
from kg2at_personality.spark.standalone import StandaloneCluster
from kg2at_personality.state.ledger import MARK
from tests.e2e.waiting_cell import Cell
from tests.fakes.channels import ANSWER_LIMIT
from tests.fakes.dying_gateway import VARIABLE
from tests.fakes.gateway_process import Gateway
from tests.fakes.wait import wait_until

#: Seconds in which a gateway that was started again is done with what it found, and a kernel that waits is ready.
LIMIT = 150.0
#: How a gateway is made that `Ward.dies_at` can kill.
DYING: dict[str, Any] = {
    "quick": True,
    "personality": "tests.fakes.dying_gateway",
    "environ": {"PYTHONPATH": str(Path(__file__).parents[2])},
}
ASKED = ("200 GET /kg2at/status", "200 GET /api/kernels")


class Ward:
    """A gateway that is killed and started again, and the cluster it starts its kernels on (None: no cluster)."""

    def __init__(self, gateway: Gateway, cluster: StandaloneCluster | None = None) -> None:
        self.gateway, self.cluster = gateway, cluster
        self.state_dir = gateway.runtime / f"kg2at-{gateway.port}"

    def dies_at(self, point: str, request: Callable[[], Any], **environ: str) -> None:
        """Start the gateway again so that `request` kills it at `point`; then start it without that.

        `environ` are variables of the gateway that dies.
        """
        before = dict(self.gateway.environ)
        self.gateway.kill()
        self.gateway.environ |= {VARIABLE: point, **environ}
        self.gateway.start()
        try:
            with contextlib.suppress(OSError, HTTPException):
                request()
            assert self.gateway.process is not None
            assert self.gateway.process.wait(LIMIT) == -9, "it did not come to that point"
        finally:
            self.gateway.environ = before
        self.gateway.start()

    def dies_in_hand_out(self, point: str, kernel_name: str) -> None:
        """As `dies_at`, while a kernel that has waited becomes that of a user."""

        def wait_and_ask() -> None:
            wait_until(lambda: self.waiting() == ["ready"], lambda: self.log, LIMIT)
            self.gateway.request("POST", "/api/kernels", {"name": kernel_name, "env": {"KERNEL_MARK": "mine"}})

        self.dies_at(point, wait_and_ask, KG2AT_WARM_KERNELS=json.dumps({kernel_name: 1}))

    def waiting(self) -> list[str]:
        """What the kernels that wait for users do."""
        return [row["state"] for row in self.gateway.request("GET", "/kg2at/status").body["warm"]["kernels"]]

    def kill_during(self, request: Callable[[], Any], delay: float) -> None:
        """kill -9 `delay` seconds after `request` was begun, and start it again."""

        def ask() -> None:
            with contextlib.suppress(OSError, HTTPException):
                request()

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(delay)
        self.killed()
        asking.join()

    def killed(self) -> None:
        """kill -9, and start it again."""
        self.gateway.kill()
        self.gateway.start()

    def kernels(self) -> dict[str, dict[str, Any]]:
        """What the gateway lists, by id."""
        return {kernel["id"]: kernel for kernel in self.gateway.request("GET", "/api/kernels").body}

    def zombies(self) -> list[Any]:
        return list(self.gateway.request("GET", "/kg2at/status").body["zombies"])

    def processes(self) -> dict[str, list[int]]:
        """Kernel id -> the processes that were started for it and live."""
        found: dict[str, list[int]] = {}
        for one in find({MARK: str(self.state_dir)}, {}):
            found.setdefault(one.kernel_id, []).append(one.pid)
        return found

    def files(self) -> list[str]:
        """Names of what lies in the runtime directory for any kernel, records too."""
        own = {"lock", "jupyter_cookie_secret", f"kg2at-{self.gateway.port}", f"kg2at-{self.gateway.port}.json"}
        return sorted(path.name for path in self.gateway.runtime.rglob("*") if path.name not in own)

    def applications(self) -> list[str]:
        """Names of the applications that have cores at the master, or wait for some."""
        return [app["name"] for app in self.cluster.state()["activeapps"]] if self.cluster else []

    def strangers(self) -> list[str]:
        """Processes, files and applications that belong to no kernel of the gateway's list."""
        ids = set(self.kernels())
        left = [f"process of {one}: {pids}" for one, pids in self.processes().items() if one not in ids]
        left += [f"file {name}" for name in self.files() if not any(kernel_id in name for kernel_id in ids)]
        left += [f"application {name}" for name in self.applications() if not any(one in name for one in ids)]
        return left + [f"zombie {zombie}" for zombie in self.zombies()]

    def is_well(self, gone: tuple[str, ...] = ()) -> None:
        """Wait until there are none, and `gone` are not listed any more; every kernel that stays has to answer."""
        wait_until(lambda: not set(gone) & set(self.kernels()), lambda: (self.kernels(), self.log))
        for kernel_id, kernel in self.kernels().items():
            try:
                self._check(kernel_id, "println(1 + 1)" if "toree" in kernel["name"] else "print(1 + 1)")
            except (OSError, WebSocketException):
                wait_until(lambda gone=kernel_id: gone not in self.kernels(), lambda: self.log)  # type: ignore[misc]
        wait_until(lambda: not self.strangers(), lambda: (self.strangers(), self.log))

    def _check(self, kernel_id: str, code: str) -> None:
        """Assert that a kernel runs a cell that prints 2; or it was just being ended, which tells no notebook."""
        with contextlib.closing(self.gateway.connect(kernel_id)) as channels:
            cell = Cell(channels, code)

            def has_ended() -> bool:
                with contextlib.suppress(TimeoutError):
                    message = channels.receive(1.0)
                    if message["parent_header"].get("msg_id") == cell.id:
                        cell.take(message)
                return cell.has_ended or kernel_id not in self.kernels()

            wait_until(has_ended, lambda: (cell.messages, self.log), ANSWER_LIMIT)
            assert not cell.has_ended or "2" in cell.text, (cell.messages, self.log)

    def run(self, kernel_id: str, code: str, timeout: float = ANSWER_LIMIT) -> str:
        """Run a cell over a connection of its own."""
        channels = self.gateway.connect(kernel_id)
        try:
            return channels.run(code, timeout).text
        finally:
            channels.close()

    @property
    def log(self) -> str:
        """The end of the gateway's log, without what this class asks."""
        lines = [line for line in self.gateway.log.splitlines() if not any(each in line for each in ASKED)]
        return "\n".join(lines[-60:])
