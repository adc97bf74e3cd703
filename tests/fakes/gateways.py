"""Gateways of one state directory, one after the other. All are in one process, and the kernels are its children."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil
from jupyter_client.connect import LocalPortCache, write_connection_file
from jupyter_server.prometheus.metrics import KERNEL_CURRENTLY_RUNNING_TOTAL
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from kg2at_personality.kernels.kernel import GatewayKernel
from kg2at_personality.kernels.manager import GatewayKernelManager
from kg2at_personality.kernels.timing import Timing
from kg2at_personality.state.ledger import LOCK, MARK, Ledger
from kg2at_personality.state.record import RESTARTING, RUNNING, Record
from kg2at_personality.system.process_group import KillTimes
from kg2at_personality.system.processes import started_at
from tests.fakes.app import Client, make_app
from tests.fakes.processes import runs
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.wait import until

ID, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SINCE = "2026-01-02T03:04:05.678901+00:00"
#: A process that does not heed SIGTERM, or that is not there, costs no seconds.
QUICK_TIMING = Timing(second_look=0.05, kill=KillTimes(grace=0.3, limit=0.5))
#: What runs where a kernel should, and never answers.
MUTE = (sys.executable, "-S", "-c", "import time; time.sleep(60)")


def _popen(*command: str, env: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, start_new_session=True, env=env)


@dataclass
class Gateways:
    """Starts and kills gateways of one state directory, and makes processes and files that look like their kernels'."""

    spark: FakeSpark
    processes: list[psutil.Process] = field(default_factory=list)
    serving: list[tuple[Client, HTTPServer]] = field(default_factory=list)
    timing: Timing = QUICK_TIMING

    @property
    def path(self) -> Path:
        """The state directory of all of them."""
        return self.spark.root / "state"

    # Gateways.

    async def serve(self, **traits: dict[str, Any]) -> Client:
        """Return a gateway that listens, and adopts kernels at its first request; `traits` by class."""
        own = {"state_dir": str(self.path)} | traits.pop("KG2ATPersonality", {})
        app = make_app(QUICK | traits | {"KG2ATPersonality": own})
        app.log.propagate = True
        app.kernel_manager.timing = self.timing
        sockets, server = bind_sockets(0, "127.0.0.1"), HTTPServer(app.web_app)
        server.add_sockets(sockets)
        client = Client(app, f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
        self.serving.append((client, server))
        return client

    async def open(self, **traits: dict[str, Any]) -> Client:
        """Return a gateway that listens and has adopted the kernels it found."""
        client = await self.serve(**traits)
        await client.app.personality.begin()
        return client

    async def kill(self, client: Client) -> None:
        """End a gateway as `kill -9` would: processes, files and records stay, and the lock is free."""
        manager = client.app.kernel_manager
        for each in manager._kernels.values():
            await each.termination.detach()
            manager.stop_watching_activity(each.kernel_id)
            KERNEL_CURRENTLY_RUNNING_TOTAL.labels(type=each.kernel_name).dec()
            self._orphan(each.provisioner.process)
        await manager.clusters.close()
        manager.supplies.ledger.close()
        await self._stop(client)
        LocalPortCache.clear_instance()

    def _orphan(self, process: Any) -> None:
        """Have a thread reap the process, as init would."""
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                self.processes.append(psutil.Process(process.pid))
            threading.Thread(target=process.wait, daemon=True).start()

    async def _stop(self, client: Client) -> None:
        [server] = [server for each, server in self.serving if each is client]
        server.stop()
        await client.app.kernel_websocket_connection_class.close_all()
        await server.close_all_connections()
        self.serving.remove((client, server))
        watches = [kernel.startup._watch for kernel in client.app.kernel_manager.kernels()]
        await asyncio.gather(*filter(None, watches), return_exceptions=True)
        _end_context(client.app.kernel_manager)

    async def end(self) -> None:
        """End all gateways and processes."""
        for client, _ in list(self.serving):
            await client.app.personality.shutdown()
            await self._stop(client)
        for process in self.processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    # What they leave.

    def connection_file(self, kernel_id: str = ID) -> Path:
        return self.spark.runtime / f"kernel-{kernel_id}.json"

    def files(self) -> list[str]:
        """Return the names of the kernels' files and records."""
        records = sorted(name for name in os.listdir(self.path) if name != LOCK) if self.path.exists() else []
        return self.spark.left() + records

    def record(self, kernel_id: str = ID) -> Record:
        return Record.loads((self.path / f"{kernel_id}.json").read_text())

    def write(self, record: Record) -> Record:
        ledger = Ledger(self.path, {}, logging.getLogger("tests.ledger"))
        ledger.write(record)
        ledger.close()
        return record

    def rewrite(self, kernel_id: str, **changes: Any) -> None:
        """Change the record of a kernel whose gateway is gone."""
        self.write(replace(self.record(kernel_id), **changes))

    # What looks like a kernel.

    async def run(self, *command: str, env: dict[str, str] | None = None) -> psutil.Process:
        """Start a process in a group of its own; returns when others can read its command line and environment."""
        child = _popen(*command, env={**os.environ, **(env or {})})
        self._orphan(child)
        process = psutil.Process(child.pid)
        await until(lambda: not runs(child.pid) or (process.environ() and process.cmdline()), "its environment")
        return process

    def marked(self, kernel_id: str = ID) -> dict[str, str]:
        """Return the variables by which a kernel of these gateways is known."""
        return {MARK: str(self.path), "KERNEL_ID": kernel_id}

    def write_connection_file(self, kernel_id: str = ID, beside: bool = False) -> None:
        """Write a kernel's connection file; with `beside` the other files that a Toree has as well."""
        path = self.connection_file(kernel_id)
        write_connection_file(str(path), ip="127.0.0.1", key=b"key", kernel_name="python3")
        for suffix in (".properties", ".javaopts", ".report", ".log", ".log.new") if beside else ():
            path.with_suffix(suffix).touch()

    async def mute(self, kernel_id: str = ID, *command: str, **changes: Any) -> psutil.Process:
        """Start a process that answers nothing, with a record that says it is a kernel."""
        self.write_connection_file(kernel_id)
        process = await self.run(*(command or MUTE), str(self.connection_file(kernel_id)), env=self.marked(kernel_id))
        own = {"pid": process.pid, "pgid": process.pid, "started": started_at(process.pid), "launches": 1}
        self.write(self.of(kernel_id, **own | changes))
        return process

    def gone(self, kernel_id: str = ID, **changes: Any) -> Record:
        """Write the connection file and the record of a kernel whose process is gone."""
        self.write_connection_file(kernel_id, beside=changes.get("step") != RESTARTING)
        return self.write(self.of(kernel_id, **changes))

    def of(self, kernel_id: str = ID, **changes: Any) -> Record:
        made = Record(kernel_id, "python3", RUNNING, str(self.connection_file(kernel_id)), SINCE)
        return replace(made, **changes)


def _end_context(manager: GatewayKernelManager) -> None:
    """End ZeroMQ's context without waiting for messages that nobody takes any more.

    One that becomes garbage together with its sockets would wait for ever.
    """
    manager._created_context = False
    for kernel_id in list(manager._kernels):
        manager.stop_watching_activity(kernel_id)
        manager.stop_buffering(kernel_id)
    for socket in list(manager.context._sockets):
        socket.close(linger=0)
    threading.Thread(target=manager.context.term, daemon=True).start()


def kernel_of(client: Client, kernel_id: str = ID) -> GatewayKernel:
    found = client.app.kernel_manager.get_kernel(kernel_id)
    assert isinstance(found, GatewayKernel)
    return found


async def json_of(client: Client, path: str) -> Any:
    return json.loads((await client.ask("GET", path)).body)


async def state_of(client: Client, kernel_id: str = ID) -> str:
    return str((await json_of(client, f"/api/kernels/{kernel_id}"))["execution_state"])


async def row_of(client: Client, kernel_id: str = ID) -> dict[str, Any]:
    """Return the kernel's row in /kg2at/status."""
    [row] = [row for row in (await json_of(client, "/kg2at/status"))["kernels"] if row["kernel_id"] == kernel_id]
    return dict(row)


async def code_of(client: Client, method: str, kernel_id: str = ID, action: str = "") -> int:
    return int((await client.ask(method, f"/api/kernels/{kernel_id}{action}")).code)


async def idle(client: Client, kernel_id: str = ID) -> None:
    await until(lambda: kernel_of(client, kernel_id).execution_state == "idle", "idle")


async def settled(client: Client) -> None:
    """Wait until the gateway has done what it began when it started."""
    await until(lambda: not client.app.kernel_manager._tasks, "the end of what was begun")


async def listed(client: Client) -> list[str]:
    return sorted(each["id"] for each in await json_of(client, "/api/kernels"))


async def answering(gateways: Gateways, code: str = "x = 41", **body: Any) -> tuple[str, int]:
    """Return the id and pid of a python kernel that has run `code` and whose gateway is gone."""
    client = await gateways.open()
    kernel_id = await client.start(**body)
    await client.run(kernel_id, code)
    pid = kernel_of(client, kernel_id).pid
    await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
    await gateways.kill(client)
    assert pid is not None and runs(pid)
    return kernel_id, pid


async def busy(gateways: Gateways) -> tuple[str, Path]:
    """Return the id of a python kernel whose gateway is gone, and a file: its cell runs until somebody makes that."""
    gate, client = gateways.spark.root / "gate", await gateways.open()
    kernel_id = await client.start()
    await client.run(kernel_id, f"import pathlib, time\ngate, x = pathlib.Path({str(gate)!r}), 0")
    await idle(client, kernel_id)
    channels = kernel_of(client, kernel_id).client()
    channels.start_channels()
    channels.execute("while not gate.exists(): time.sleep(0.01)\nx = 1")
    await until(lambda: kernel_of(client, kernel_id).execution_state == "busy", "busy")
    channels.stop_channels()
    await gateways.kill(client)
    return kernel_id, gate
