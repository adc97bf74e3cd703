"""The run of a Toree that nobody uses: at its end the JVM writes an archive of the classes that it has loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from queue import Empty
from tempfile import TemporaryDirectory
from typing import Any

import javaproperties
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from ...errors import InstallationError
from ...system.free_ports import IN_USE, PORT_TRIES
from ...system.process_guard import GuardedProcess

#: Seconds that such a run may take; it takes 15 to 40, and longer beside users who need the processor, who go first.
LIMIT = 600.0
#: What the first cells of most notebooks load: a job, and a DataFrame. The context is one of this machine alone.
_CELLS = (
    "1 + 1",
    "sc.parallelize(1 to 100, 2).map(_ + 1).sum()",
    'spark.range(10).selectExpr("id % 3 as k").groupBy("k").count().collect()',
)
#: Properties of that context.
_PROPERTIES = {
    "spark.master": "local[1]",
    "spark.app.name": "kg2at",
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
}
#: Makes a command from the paths of a properties file and of a connection file.
Command = Callable[[str, str], list[str]]


class Training:
    """One run. `command` makes that of a Toree with these two files; `is_over` tells that it is to end."""

    def __init__(self, command: Command, env: Mapping[str, str], is_over: Callable[[], bool]) -> None:
        self._command, self._env, self._is_over = command, env, is_over
        self._end = time.monotonic() + LIMIT

    def run(self) -> None:
        """Run it to its end. Blocking. Raises InstallationError when it fails, or is over, and OSError."""
        for left in reversed(range(PORT_TRIES)):
            with TemporaryDirectory() as folder:
                log = Path(folder, "log")
                try:
                    return self._run(Path(folder), log)
                except InstallationError:
                    if not left or IN_USE not in log.read_text(errors="replace"):
                        raise

    def _run(self, folder: Path, log: Path) -> None:
        connection, properties = folder / "connection.json", folder / "spark.properties"
        write_connection_file(str(connection), ip="127.0.0.1", key=b"training")
        properties.write_text(javaproperties.dumps(_PROPERTIES, timestamp=False), "ascii")
        argv = ["nice", "-n", "10", *self._command(str(properties), str(connection))]
        process = GuardedProcess(argv, self._env, log)
        try:
            self._talk(process, connection)
        finally:
            process.stop(grace=1.0)

    def _talk(self, process: GuardedProcess, connection: Path) -> None:
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels(iopub=False, stdin=False, hb=False)
        try:
            self._wait(process, client, client.kernel_info)
            for cell in _CELLS:
                self._wait(process, client, partial(client.execute, cell, silent=True))
            client.shutdown()
            while process.running():
                self._check(process)
                time.sleep(0.1)
        finally:
            client.stop_channels()

    def _wait(self, process: GuardedProcess, client: BlockingKernelClient, ask: Callable[[], str]) -> None:
        """Ask, and wait for the answer. Raises InstallationError when it is an error, or there will be none."""
        msg_id = ask()
        while True:
            self._check(process)
            try:
                reply: dict[str, Any] = client.get_shell_msg(timeout=0.5)
            except Empty:
                if not process.running():
                    raise InstallationError(f"the JVM ended: {process.tail(2)}") from None
                continue
            if reply["parent_header"].get("msg_id") != msg_id:
                continue
            if reply["content"].get("status", "ok") != "ok":
                raise InstallationError(f"a cell failed: {reply['content'].get('evalue')}")
            return

    def _check(self, process: GuardedProcess) -> None:
        if self._is_over():
            raise InstallationError("the gateway ends")
        if time.monotonic() > self._end:
            raise InstallationError(f"the JVM took longer than {LIMIT:g} s: {process.tail(2)}")
