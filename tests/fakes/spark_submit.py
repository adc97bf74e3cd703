"""A spark-submit without a JVM, run by tests/fakes/toree.py's SPARK_HOME.

It records how it was called in $SPARK_FAKE_RECORDS, then does what the property `spark.fake.does` says:
serve (the default): be a python kernel that takes SIGUSR2 for an interrupt, as Toree does with --alternate-sigint USR2,
and that prints the text of an SQL cell;
die: print `spark.fake.says` and end with status 3; hang: never answer. What `spark.fake.learns` says happens when it is
to learn its handler for interrupts: ok (the default), error, die, hang. The same happens in each cell that warms it by
`spark.fake.warms`, and when it is given to a user by `spark.fake.takes` of the user's properties. With
`spark.fake.gate` it first waits until somebody writes to that FIFO; with `spark.fake.child` it has a child in its
process group.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import javaproperties

# This is run as a program, in a folder that is no package then.
sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.fakes.kernel import Kernel
from tests.fakes.kernel import main as run_kernel


def option(name: str) -> str:
    """Return what follows `name` on the command line."""
    return sys.argv[sys.argv.index(name) + 1]


def beside(path: Path, suffix: str) -> str | None:
    """Return the text of the file like `path` with another suffix; None when there is none."""
    file = path.with_suffix(suffix)
    return file.read_text() if file.exists() else None


def record(records: Path, seen: dict[str, Any]) -> None:
    """Write what was seen as KERNEL_ID.N.json, whole or not at all."""
    kernel_id = os.environ["KERNEL_ID"]
    number = len(list(records.glob(f"{kernel_id}.*.json")))
    part = records / f"{kernel_id}.{number}.part"
    part.write_text(json.dumps(seen))
    part.rename(records / f"{kernel_id}.{number}.json")


def note(path: Path, line: str) -> None:
    """Append a line to the file."""
    with open(path, "a") as file:
        file.write(f"{line}\n")


def do(what: str, limit: float) -> None:
    """Die or hang, if that is what."""
    if what == "die":
        os._exit(3)
    if what == "hang":
        time.sleep(limit)


def take(connection_file: Path, taken: Path) -> dict[str, Any]:
    """Take what is a user's, as a Toree that waits does, and record it."""
    changes = json.loads(connection_file.with_suffix(".environment").read_text())
    properties = javaproperties.loads(connection_file.with_suffix(".properties").read_text("ascii"))
    for name, (before, after) in changes.items():
        if os.environ.get(name) == before:
            os.environ.pop(name, None) if after is None else os.environ.update({name: after})
    taken.write_text(json.dumps({"env": dict(os.environ), "properties": properties}))
    what = properties.get("spark.fake.takes", "ok")
    do(what, 600)
    return {"status": what, "error": "IOException" if what == "error" else ""}


def serve(connection_file: str, interrupts: Path, learns: str, warms: str) -> None:
    """Be a python kernel until it is shut down."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        note(interrupts, signal.Signals(signum).name)
        # A kernel has a handler for SIGINT while a cell runs.
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, frame)

    signal.signal(signal.SIGUSR2, interrupt)

    class Toree(Kernel):
        def execute(self, code: str, silent: bool) -> dict[str, Any]:
            cell = original(code)
            if cell is not None:
                code = f"print({cell!r})" if "kernel.sparkSession.sql" in code else ""
            if "sun.misc.SignalHandler" in code:
                return self._own_cell(".learned", learns, 2)
            if "kernel.comm.register" in code:
                files = Path(connection_file)
                self.targets["kg2at.hand_out"] = lambda data: take(files, interrupts.with_suffix(".taken"))
                return {"status": "ok"}
            if code.startswith("val _ = {"):
                return self._own_cell(".warmed", warms, 600)
            return super().execute(code, silent)

        def _own_cell(self, suffix: str, what: str, limit: float) -> dict[str, Any]:
            note(interrupts.with_suffix(suffix), what)
            do(what, limit)
            return {"status": what, "ename": "MatchError", "evalue": "no", "traceback": []}

    run_kernel(Toree, connection_file)


def original(code: str) -> str | None:
    """The cell that a stand-in stands for; None for what is none."""
    if not code.startswith("// kg2at "):
        return None
    from kg2at_personality.web.toree_protocol import cell_substitute  # takes as long to import as all the rest

    return cell_substitute.original(code)


def main() -> None:
    records = Path(os.environ["SPARK_FAKE_RECORDS"])
    files, connection_file = Path(option("--properties-file")), option("--profile")
    properties = javaproperties.loads(files.read_text("ascii"))
    child = subprocess.Popen(["sleep", "60"]).pid if "spark.fake.child" in properties else None
    seen = {
        "argv": sys.argv,
        "env": dict(os.environ),
        "cwd": os.getcwd(),
        "pid": os.getpid(),
        "child": child,
        "leads_its_group": os.getpgrp() == os.getpid(),
        "niceness": os.getpriority(os.PRIO_PROCESS, 0),
        "sigint": str(signal.getsignal(signal.SIGINT)),
        "properties": properties,
        "java_options": beside(files, ".javaopts"),
        "connection": json.loads(Path(connection_file).read_text()),
        "modes": {path.suffix: path.stat().st_mode & 0o777 for path in files.parent.glob(f"{files.stem}.*")},
    }
    record(records, seen)
    if gate := properties.get("spark.fake.gate"):
        with open(gate) as fifo:
            fifo.read()
    does = properties.get("spark.fake.does", "serve")
    if does == "serve":
        interrupts = records / f"{os.environ['KERNEL_ID']}.interrupts"
        learns, warms = (properties.get(f"spark.fake.{name}", "ok") for name in ("learns", "warms"))
        serve(connection_file, interrupts, learns, warms)
    print(properties.get("spark.fake.says", ""), flush=True)
    if does == "die":
        sys.exit(3)
    # Should the test end without it, so does this.
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)


if __name__ == "__main__":
    main()
