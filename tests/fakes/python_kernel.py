"""A real Python kernel with Spark in a process of its own, started as the gateway starts it, and a notebook on it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import javaproperties
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

from kg2at_personality import spark_python
from tests.fakes.wait import wait_until

LAUNCHER = Path(spark_python.__file__).parent
#: Seconds within which a cell has to end.
LIMIT = 120.0


@dataclass
class Cell:
    """What one cell has come to."""

    status: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)

    def of(self, *kinds: str) -> list[dict[str, Any]]:
        """The contents of the messages of these kinds."""
        return [message["content"] for message in self.messages if message["header"]["msg_type"] in kinds]

    @property
    def stream(self) -> str:
        return "".join(content["text"] for content in self.of("stream"))

    @property
    def result(self) -> str:
        """The plain text of its results."""
        return "\n".join(content["data"]["text/plain"] for content in self.of("execute_result", "display_data"))

    @property
    def html(self) -> str:
        return "\n".join(content["data"].get("text/html", "") for content in self.of("execute_result", "display_data"))

    @property
    def error(self) -> str:
        """All that its errors show."""
        return "\n".join("\n".join(content["traceback"]) for content in self.of("error"))


class PythonKernel:
    """The kernel is up inside the `with` block. Its files are in `directory`."""

    def __init__(
        self,
        directory: Path,
        properties: dict[str, str],
        environ: dict[str, str],
        options: tuple[str, ...] = (),
        python: str = sys.executable,
    ) -> None:
        self.kernel_id, self.directory = str(uuid.uuid4()), directory
        self.connection_file = directory / f"kernel-{self.kernel_id}.json"
        self.properties_file = self.connection_file.with_suffix(".properties")
        self.report_file = self.connection_file.with_suffix(".report")
        self.log_file = self.connection_file.with_suffix(".log")
        self._properties, self._options, self._python = properties, options, python
        self._environ = {
            **environ,
            "KERNEL_ID": self.kernel_id,
            "PYSPARK_SUBMIT_ARGS": f"--properties-file {self.properties_file} pyspark-shell",
            "SPARK_ENV_LOADED": "1",
        }

    def __enter__(self) -> PythonKernel:
        write_connection_file(str(self.connection_file))
        self.properties_file.touch(0o600)
        self.properties_file.write_text(javaproperties.dumps(self._properties, timestamp=False))
        self.report_file.touch(0o600)
        command = [self._python, str(LAUNCHER), "-f", str(self.connection_file), *self._options]
        with self.log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=self._environ, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.client = BlockingKernelClient(connection_file=str(self.connection_file))
        self.client.load_connection_file()
        self.client.start_channels()
        try:
            wait_until(self._is_ready, lambda: self.log, LIMIT)
        except BaseException:
            self.kill()
            raise RuntimeError(self.log) from None
        return self

    def _is_ready(self) -> bool:
        """Whether it answers. On a busy machine the client takes it for dead. Raises RuntimeError when it has ended."""
        try:
            self.client.wait_for_ready(timeout=LIMIT)
        except RuntimeError:
            if self.process.poll() is not None:
                raise
            return False
        return True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.client.shutdown()
        try:
            self.process.wait(60)
        finally:
            self.kill()
            self.client.stop_channels()

    def kill(self) -> None:
        """End the process and the JVM with it. Idempotent."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    @property
    def log(self) -> str:
        """What the kernel and its JVM have printed beside the notebook."""
        return self.log_file.read_text(errors="replace")

    @property
    def report(self) -> dict[str, Any]:
        return dict(json.loads(self.report_file.read_bytes() or b"{}"))

    def interrupt(self) -> None:
        """Do what the gateway does."""
        os.kill(self.process.pid, signal.SIGINT)

    def begin(self, code: str, **options: Any) -> str:
        """Start a cell and return its id."""
        return str(self.client.execute(code, **options))

    def finish(self, cell_id: str, limit: float = LIMIT) -> Cell:
        """Wait for the end of a cell and return what it has come to."""
        cell, deadline = Cell(), time.monotonic() + limit
        while True:
            message = self.client.get_iopub_msg(timeout=max(deadline - time.monotonic(), 0.1))
            if message["parent_header"].get("msg_id") != cell_id:
                continue
            cell.messages.append(message)
            if message["content"].get("execution_state") == "idle":
                break
        while not cell.status:
            reply = self.client.get_shell_msg(timeout=max(deadline - time.monotonic(), 0.1))
            if reply["parent_header"].get("msg_id") == cell_id:
                cell.status = reply["content"]["status"]
        return cell

    def run(self, code: str, limit: float = LIMIT, **options: Any) -> Cell:
        """Run a cell."""
        return self.finish(self.begin(code, **options), limit)

    def ask(self, reply: str, cell_id: str) -> dict[str, Any]:
        """Return the content of the reply to a request other than a cell's."""
        found: list[dict[str, Any]] = []

        def has_come() -> bool:
            message = self.client.get_shell_msg(timeout=LIMIT)
            found.extend([message] if message["parent_header"].get("msg_id") == cell_id else [])
            return bool(found)

        wait_until(has_come, lambda: reply, LIMIT)
        return dict(found[0]["content"])
