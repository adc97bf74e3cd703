"""An ipykernel as Enterprise Gateway's launch_ipykernel.py runs it, in short: `spark-submit eg_launcher.py FILE`.

From its start on a thread makes Spark's session, and until then its names stand for what they wait for
(etc/kernel-launchers/python/scripts/launch_ipykernel.py, WaitingForSparkSessionToBeInitialized). What that program
does besides, ports and a listener for signals, is left out.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from pyspark.sql import SparkSession

NAMES: dict[str, Any] = {}


class Waiting:
    """A name whose first use waits for the session."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        MAKER.join()
        return getattr(NAMES[self._name], name)


def make_session() -> None:
    session = SparkSession.builder.getOrCreate()
    NAMES.update(spark=session, sc=session.sparkContext)


MAKER = threading.Thread(target=make_session, daemon=True)

if __name__ == "__main__":
    NAMES |= {name: Waiting(name) for name in ("spark", "sc")}
    MAKER.start()
    app = IPKernelApp.instance(user_ns=NAMES)
    app.initialize(["-f", sys.argv[1]])
    app.start()
