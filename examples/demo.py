"""The whole of kg2at in a minute: a Spark cluster, the gateway in front of it, and notebooks that come from afar.

`make demo` runs this. It starts a standalone master and worker, serves them by kg2at, runs the cells of pi.ipynb in
Scala and of plot.ipynb in Python through the gateway as JupyterLab would, shows what the master says of them, and stops
everything it started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import signal
import socket
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent
from typing import Any, TypeVar

from jupyter_core.paths import jupyter_path
from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from kg2at_personality.errors import KG2ATError
from kg2at_personality.spark.installation_finder import InstallationFinder
from kg2at_personality.spark.standalone import HOST, StandaloneCluster
from kg2at_personality.system.free_ports import free_ports
from kg2at_personality.system.process_guard import GuardedProcess
from kg2at_personality.system.time_limits import wait_until

T = TypeVar("T")
API = "kg2at_personality"
PATIENCE = 120.0  # seconds for each step: a first Spark job on a small machine takes about ten
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class DemoError(Exception):
    """Something did not go as it should; the message says what."""


def say(text: str) -> None:
    print(text, flush=True)


async def patiently(awaitable: Awaitable[T], what: str) -> T:
    """Wait for something, with a line of progress every five seconds."""
    task, start = asyncio.ensure_future(awaitable), time.monotonic()
    while not (await asyncio.wait({task}, timeout=5))[0]:
        waited = time.monotonic() - start
        if waited > PATIENCE:
            raise DemoError(f"{what}: no answer after {waited:.0f} s")
        say(f"    ... {what}, {waited:.0f} s")
    return task.result()


class Gateway:
    """A Jupyter Kernel Gateway, as one of its clients sees it."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.headers = url, {"Authorization": f"token {token}"}

    async def request(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's JSON; an error answer is a DemoError with the sentence that the gateway sent."""
        content = None if body is None else json.dumps(body)
        request = HTTPRequest(self.url + path, method, self.headers, content, request_timeout=PATIENCE)
        try:
            answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        except (OSError, HTTPError) as error:
            raise DemoError(f"{method} {path}: {error}") from error
        if answer.code >= 400:
            raise DemoError(f"{method} {path}: {answer.code} {answer.body.decode(errors='replace') or answer.reason}")
        return json.loads(answer.body) if answer.body else None

    async def connect(self, kernel_id: str) -> Kernel:
        """Open the websocket of a kernel and wait until the kernel answers."""
        address = f"{self.url.replace('http', 'ws', 1)}/api/kernels/{kernel_id}/channels"
        kernel = Kernel(await websocket_connect(HTTPRequest(address, headers=self.headers, request_timeout=PATIENCE)))
        await kernel.ask("kernel_info_request", {})
        return kernel


class Kernel:
    """A running kernel behind its websocket. `ask` one thing at a time."""

    def __init__(self, websocket: WebSocketClientConnection) -> None:
        self.websocket, self.session = websocket, uuid.uuid4().hex

    async def ask(self, kind: str, content: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Send a request; the content of its reply, and all that was printed and shown for it."""
        message_id, texts = uuid.uuid4().hex, []
        header = {"msg_id": message_id, "msg_type": kind, "session": self.session, "username": "demo", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        await self.websocket.write_message(json.dumps(message))
        reply, idle = None, False
        while reply is None or not idle:
            answer = await self._receive(message_id)
            kind_of_answer, content = answer["header"]["msg_type"], answer["content"]
            if answer["channel"] == "shell":
                reply = content
            elif kind_of_answer == "status":
                idle = content["execution_state"] == "idle"
            else:
                texts.append(text_of(kind_of_answer, content))
        return reply, "".join(texts).strip()

    async def _receive(self, parent: str) -> dict[str, Any]:
        """The next message that answers `parent`."""
        while (raw := await self.websocket.read_message()) is not None:
            message: dict[str, Any] = json.loads(raw)
            if message["parent_header"].get("msg_id") == parent:
                return message
        raise DemoError(f"the gateway closed the websocket: {self.websocket.close_code} {self.websocket.close_reason}")


def text_of(kind: str, content: dict[str, Any]) -> str:
    """What a message of the kernel's output channel shows to a reader."""
    if kind == "stream":
        return str(content["text"])
    if kind in ("execute_result", "display_data"):
        images = [f"[{mime}, {len(data) * 3 // 4000} kB]" for mime, data in content["data"].items() if "image/" in mime]
        return "\n".join(images or [content["data"].get("text/plain", "")]) + "\n"
    if kind == "error":
        return "\n".join([f"{content['ename']}: {content['evalue']}", *content["traceback"]]) + "\n"
    return ""


async def run_notebooks(gateway: Gateway, cluster: StandaloneCluster, notebooks: list[Path]) -> None:
    """Run those whose kernel is offered: Toree needs Spark 3, and Python needs ipykernel."""
    specs = await gateway.request("GET", "/api/kernelspecs")
    say(f"It offers {', '.join(sorted(specs['kernelspecs']))}")
    for path in notebooks:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        name = notebook["metadata"]["kernelspec"]["name"]
        if name in specs["kernelspecs"]:
            say(f"\n{path.name}:")
            await run_notebook(gateway, cluster, name, notebook)
        else:
            say(f"\n{path.name} is left out: its kernel {name} is not offered here.")


async def run_notebook(gateway: Gateway, cluster: StandaloneCluster, name: str, notebook: dict[str, Any]) -> None:
    """Start a kernel, run the cells one by one, end the kernel; and what the cluster says of it."""
    start = time.monotonic()
    kernel_id = (await patiently(gateway.request("POST", "/api/kernels", {"name": name}), "starting a kernel"))["id"]
    try:
        kernel = await patiently(gateway.connect(kernel_id), f"waiting for {name}")
        say(f"Kernel {kernel_id} ({name}) answered after {time.monotonic() - start:.1f} s")
        await run_cells(kernel, [cell for cell in notebook["cells"] if cell["cell_type"] == "code"])
        for application in cluster.state()["activeapps"]:
            say(f"\nThe master says: {application['name']} holds {application['cores']} cores; {cores(cluster)}")
    finally:
        await gateway.request("DELETE", f"/api/kernels/{kernel_id}")
    await patiently(cores_back(cluster), "waiting for the cores")
    say(f"Kernel deleted; the master says: {cores(cluster)}, the cores are back")


async def run_cells(kernel: Kernel, cells: list[dict[str, Any]]) -> None:
    for number, cell in enumerate(cells, 1):
        code, start = "".join(cell["source"]), time.monotonic()
        say(f"\n[{number}] " + indent(code, " " * 4).lstrip())
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        reply, text = await patiently(kernel.ask("execute_request", content), "running")
        say(indent(text, "    | ", lambda line: True))
        say(f"    {reply['status']}, {time.monotonic() - start:.1f} s")
        if reply["status"] != "ok":
            raise DemoError(f"cell {number} answered {reply['status']}")


def cores(cluster: StandaloneCluster) -> str:
    state = cluster.state()
    return f"{state['coresused']} of the cluster's {state['cores']} cores are in use"


async def cores_back(cluster: StandaloneCluster) -> None:
    while cluster.state()["coresused"]:  # noqa: ASYNC110  the master has no event for this
        await asyncio.sleep(0.1)


@contextmanager
def serving(cluster: StandaloneCluster, directory: Path) -> Iterator[Gateway]:
    """A gateway with kg2at on a free port of the loopback, with nothing of this machine's own configuration."""
    conf = [f"spark.master {cluster.master_url}", f"spark.master.ui.port {cluster.ui_url.rpartition(':')[2]}"]
    conf += [f"spark.cores.max {cluster.cores}", "spark.ui.enabled false"]
    (directory / "spark-defaults.conf").write_text("\n".join([*conf, ""]))
    [port] = free_ports(HOST, 0)
    token, foreign = secrets.token_hex(24), ("KG_", "KG2AT_", "SPARK_", "PYSPARK_", "JUPYTER_CONFIG")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {"SPARK_HOME": str(cluster.spark_home), "JAVA_HOME": str(cluster.java_home)}
    env |= {"SPARK_CONF_DIR": str(directory), "SPARK_LOCAL_IP": HOST, "KG_AUTH_TOKEN": token}
    env |= {f"JUPYTER_{kind}_DIR": str(directory / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    options = {"api": API, "ip": HOST, "port": port, "port_retries": 0}
    argv = [sys.executable, "-m", "kernel_gateway", *(f"--KernelGatewayApp.{key}={options[key]}" for key in options)]
    process = GuardedProcess(argv, env, directory / "gateway.log", orphaned="TERM")
    try:
        wait_for_port(process, port)
        yield Gateway(f"http://{HOST}:{port}", token)
    except DemoError:
        say(f"\nThe gateway's last lines:\n{process.tail(30)}")
        raise
    finally:
        process.stop(grace=30)


def wait_for_port(process: GuardedProcess, port: int) -> None:
    if not wait_until(lambda: listens(port) or not process.running(), PATIENCE) or not process.running():
        raise DemoError("the gateway does not listen")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def stop_at(signum: int, _frame: object) -> None:
    """Ctrl-C and SIGTERM end the demo in good order; while it cleans up they have nothing to add."""
    ignore_signals()
    say("\nStopping ...")
    raise SystemExit(128 + signum)


def ignore_signals() -> None:
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_IGN)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", type=int, default=2, help="cores of the cluster's worker (default: 2)")
    own = [Path(__file__).with_name(name) for name in ("pi.ipynb", "plot.ipynb")]
    parser.add_argument("notebooks", type=Path, nargs="*", default=own, help="default: pi.ipynb and plot.ipynb")
    options = parser.parse_args()
    for signum in SIGNALS:
        signal.signal(signum, stop_at)
    try:
        demo(options.notebooks, options.cores)
    except (DemoError, KG2ATError) as error:
        sys.exit(f"The demo failed: {error}")


def demo(notebooks: list[Path], worker_cores: int) -> None:
    found = InstallationFinder(kernel_dirs=tuple(jupyter_path("kernels"))).find(os.environ)
    say(f"Starting a master and a worker of Spark {found.spark.version} on Java {found.java.version} ...")
    with (
        tempfile.TemporaryDirectory(prefix="kg2at-demo-", ignore_cleanup_errors=True) as directory,
        StandaloneCluster(found.spark.home, found.java.home, cores=worker_cores, memory="2g") as cluster,
    ):
        say(f"{cluster.master_url} is up: {cores(cluster)}")
        with serving(cluster, Path(directory)) as gateway:
            say(f"kg2at listens at {gateway.url}")
            try:
                asyncio.run(run_notebooks(gateway, cluster, notebooks))
            finally:
                ignore_signals()
    say("Everything is stopped.")


if __name__ == "__main__":
    main()
