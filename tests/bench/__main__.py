"""What kg2at costs beside the stock gateway. `make bench` runs this; `--quick` takes fewer rounds.

Both are measured in the same run and in turn (stock, kg2at, stock, ...), so that a busy machine is busy for both. Each
number is a median; what counts is how two of them compare. "Stock" is Kernel Gateway's own personality with the
kernelspec that `jupyter toree install` writes; "EG-like" is the same gateway with a kernelspec that launches Python on
Spark as Enterprise Gateway does. What only kg2at does is measured beside less of the same: stopping eight kernels
beside one, adopting 20 beside none; what a notebook waits for beside a client that talks to the kernel itself. A Toree
is "warm" when it had waited for its user, and "cold" when it was started for the user.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from kg2at_personality.spark.installation_finder import InstallationFinder
from tests.bench.bench import Bench
from tests.bench.gateway_starts import adoptions, starts
from tests.bench.kernel_lives import admissions, lives, posts, stops
from tests.bench.measured_gateway import note
from tests.bench.notebook_cells import bursts, cells
from tests.bench.overviews import overviews
from tests.bench.plot import draw
from tests.bench.python_starts import python
from tests.bench.quantities import fill, report, table
from tests.bench.toree_starts import heavy, herd, warm

Part = Callable[[Bench, int], None]
#: Each part, and how often it is done with --quick, and without.
PARTS: dict[str, tuple[Part, int, int]] = {
    "starts": (starts, 3, 10),
    "posts": (posts, 3, 10),
    "admissions": (admissions, 3, 10),
    "lives": (lives, 1, 3),
    "stops": (stops, 2, 5),
    "adoptions": (adoptions, 1, 3),
    "overviews": (overviews, 5, 20),
    "cells": (cells, 20, 60),
    "bursts": (bursts, 4, 10),
    "python": (python, 2, 5),
    "warm": (warm, 1, 5),
    "herd": (herd, 1, 3),
    "heavy": (heavy, 1, 5),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, for a first look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there too")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the table into that page, where marked")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="measure only this part, or these")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw how soon a Toree answers, as SVG")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))  # as Ctrl-C: in good order
    scratch = Path(tempfile.mkdtemp(prefix="kg2at-bench-"))
    try:
        bench = Bench(InstallationFinder().find(os.environ), scratch)
        for name, (part, quick, full) in PARTS.items():
            if not options.only or name in options.only:
                part(bench, quick if options.quick else full)
        note("")
        print("\n".join(table(bench.samples)))
        if options.json:
            options.json.write_text(json.dumps(report(bench.samples), indent=1) + "\n")
        if options.docs:
            fill(options.docs, bench.samples)
        if options.plot:
            draw(options.plot, bench.samples)
    except Exception as error:
        sys.exit(f"Could not measure. {type(error).__name__}: {error}")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
