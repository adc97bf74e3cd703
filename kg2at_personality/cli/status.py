"""`jupyter kg2at status`: what a running gateway does, and `status stop`: end kernels."""

from __future__ import annotations

import contextlib
import io
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from traitlets import Bool, Float

from ..errors import KG2ATError
from ..plural import counted
from .client import Client, GatewayCommand
from .command import OK, WRONG, UsageError
from .output import Row, print_table

CLUSTER = {"master": "master", "status": "status", "cores": "cores", "memory": "memory", "workers": "workers"}
CLUSTER |= {"age": "as of", "error": "error"}
KERNELS = {"kernel_id": "kernel", "name": "name", "user": "user", "cores": "cores", "state": "state"}
KERNELS |= {"app_id": "application", "pid": "pid", "since": "since"}
QUEUE = {"position": "place", "name": "name", "user": "user", "cores": "waits for", "waited": "waited"}


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
        """Called for `status stop`."""
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

    def _all_of(self, client: Client) -> list[str]:
        return [str(row["kernel_id"]) for row in _rows(client.status(), "kernels") if "kernel_id" in row]

    def _stop(self, client: Client, kernel_id: str) -> dict[str, Any]:
        """End one and say so at once. With --all a kernel that is gone meanwhile is as good."""
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
        """Called for `status`."""
        if not 0.1 <= self.interval <= 86400:
            raise UsageError(f"--interval: {self.interval:g} is not between 0.1 and 86400 seconds")
        client = self.client()
        status = client.status()
        if not self.watch:
            self._show(client, status)
            return OK
        previous = signal.signal(signal.SIGTERM, signal.default_int_handler)  # or the cursor would stay hidden
        try:
            self._watch(client, status)
        except KeyboardInterrupt:
            pass
        finally:
            signal.signal(signal.SIGTERM, previous)
        return OK

    def _watch(self, client: Client, status: dict[str, Any]) -> None:
        """Never returns. A gateway that does not answer for a while is a line in the picture."""
        with _pictures(self.is_terminal and not self.as_json) as put:
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

    def _show(self, client: Client, status: dict[str, Any]) -> None:
        if self.as_json:
            print(json.dumps(status, indent=None if self.watch else 2))
        else:
            show(client.url, status)


@contextlib.contextmanager
def _pictures(in_place: bool) -> Iterator[Callable[[Callable[[], None]], None]]:
    """How a picture that prints itself is put: over the one before, or after it where nobody watches."""
    if not in_place:
        yield _print_on
        return
    from rich.live import Live
    from rich.text import Text

    with Live(auto_refresh=False) as live:
        yield lambda picture: live.update(Text.from_ansi(_caught(picture)), refresh=True)


def _print_on(picture: Callable[[], None]) -> None:
    picture()
    sys.stdout.flush()


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def _caught(picture: Callable[[], None]) -> str:
    """What `picture` prints for a terminal."""
    with contextlib.redirect_stdout(_Screen()) as screen:
        picture()
    return screen.getvalue()


# The picture.


def show(url: str, status: Mapping[str, Any]) -> None:
    """Print the status as tables; parts that are empty or not there take a line or nothing."""
    print(f"{url} at {time.strftime('%H:%M:%S')}")
    clusters = [each["cluster"] for each in _rows(status, "clusters") if isinstance(each.get("cluster"), dict)]
    clusters = clusters or ([status["cluster"]] if isinstance(status.get("cluster"), dict) else [])
    _section("", [_cluster(each) for each in clusters], CLUSTER, "No kernel has asked for a standalone cluster yet.")
    _section("Kernels", [_kernel(row) for row in _rows(status, "kernels")], KERNELS, "No kernels.")
    _section("Waiting", [_waiter(row) for row in _rows(status, "queue")], QUEUE, "Nobody waits.")
    rows = [_kernel(row) for row in _rows(status, "zombies")]
    _section(
        "Zombies: ended, but they won't go", rows, {name: name.replace("_", " ") for row in rows for name in row}, ""
    )


def _section(title: str, rows: list[dict[str, Any]], columns: Mapping[str, str], empty: str) -> None:
    if not rows:
        print(end=f"\n{empty}\n" if empty else "")
        return
    print(f"\n{title}" if title else "")
    print_table(rows, {key: heading for key, heading in columns.items() if any(row.get(key) for row in rows)})


def _rows(status: Mapping[str, Any], key: str) -> list[Row]:
    rows = status.get(key)
    if isinstance(rows, dict):  # a single picture of that part
        rows = [rows]
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _cluster(cluster: Row) -> dict[str, Any]:
    row = {key: cluster.get(key) for key in ("master", "status", "workers", "error")}
    free, total = cluster.get("cores_free"), cluster.get("cores_total")
    cores = [f"{free} of {total} free"] if total is not None else []
    if promised := cluster.get("cores_promised"):
        cores.append(f"{promised} promised")
    memory = [_gib(cluster.get(key)) for key in ("memory_free_mib", "memory_total_mib")]
    age = _span(cluster.get("age_s"))
    return row | {
        "cores": ", ".join(cores),
        "memory": f"{memory[0]} of {memory[1]} free" if all(memory) else "",
        "age": age and f"{age} ago",
    }


def _kernel(kernel: Row) -> dict[str, Any]:
    """The row as it is, with a time that can be read; no cores is nothing."""
    row = dict(kernel)
    return row | {"since": _clock(row["since"])} if "since" in row else row


def _waiter(waiter: Row) -> dict[str, Any]:
    cores = waiter.get("cores")
    wanted = counted(cores, "core") if isinstance(cores, int) else cores
    return dict(waiter) | {"cores": wanted, "waited": _span(waiter.get("waited_s"))}


def _gib(mib: Any) -> str:
    return f"{mib / 1024:.1f} GiB" if isinstance(mib, (int, float)) else ""


def _span(seconds: Any) -> str:
    """Seconds as a person says them; what is no number as it is."""
    if not isinstance(seconds, (int, float)):
        return "" if seconds is None else str(seconds)
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _clock(since: Any) -> Any:
    """The gateway's time (ISO 8601, UTC) as this machine's; what is none as it is."""
    with contextlib.suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromisoformat(str(since).replace("Z", "+00:00"))
        return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return since
