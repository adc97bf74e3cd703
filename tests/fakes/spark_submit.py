"""A spark-submit without a JVM, run by tests/fakes/toree.py's SPARK_HOME.

It records how it was called in $SPARK_FAKE_RECORDS, then does what the property `spark.fake.does` says:
serve (the default): be a python kernel that takes SIGUSR2 for an interrupt, as Toree does with --alternate-sigint USR2,
and that prints the text of an SQL cell;
die: print `spark.fake.says` and end with status 3; hang: never answer. What `spark.fake.learns` says happens when it is
to learn its handler for interrupts: ok (the default), error, die, hang. With `spark.fake.gate` it first waits until
somebody writes to that FIFO; with `spark.fake.child` it has a child in its process group.
"""

from __future__ import annotations

import asyncio
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


def option(name: str) -> str:
    """What follows `name` on the command line."""
    return sys.argv[sys.argv.index(name) + 1]


def beside(path: Path, suffix: str) -> str | None:
    """The text of the file like `path` with another suffix; None when there is none."""
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
    with open(path, "a") as file:
        file.write(f"{line}\n")


def serve(connection_file: str, interrupts: Path, learns: str) -> None:
    """Be a python kernel until it is shut down."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        note(interrupts, signal.Signals(signum).name)
        # ipykernel has a handler for SIGINT while a cell runs.
        handler = signal.getsignal(signal.SIGINT)
        if callable(handler):
            handler(signal.SIGINT, frame)

    signal.signal(signal.SIGUSR2, interrupt)
    from ipykernel.ipkernel import IPythonKernel
    from ipykernel.kernelapp import launch_new_instance

    from kg2at_personality.web.toree_protocol import cell_substitute

    class Kernel(IPythonKernel):
        async def do_execute(self, code: str, *args: Any, **kwargs: Any) -> Any:
            cell = cell_substitute.original(code)
            if cell is not None:
                code = f"print({cell!r})" if "kernel.sparkSession.sql" in code else ""
            if "sun.misc.SignalHandler" not in code:
                return await super().do_execute(code, *args, **kwargs)
            note(interrupts.with_suffix(".learned"), learns)
            if learns == "die":
                os._exit(3)
            if learns == "hang":
                await asyncio.sleep(2)
            return {"status": learns, "execution_count": 0, "ename": "MatchError", "evalue": "no", "traceback": []}

    launch_new_instance(argv=["-f", connection_file], kernel_class=Kernel)


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
        serve(connection_file, interrupts, properties.get("spark.fake.learns", "ok"))
    print(properties.get("spark.fake.says", ""), flush=True)
    if does == "die":
        sys.exit(3)
    # Should the test end without it, so does this.
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.2)


if __name__ == "__main__":
    main()
