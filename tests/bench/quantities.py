"""What `make bench` measures: quantities and their limits, the values, and the table of both."""

from __future__ import annotations

import statistics
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SIDES = ("stock", "kg2at")
#: What a notebook's cells take by ZeroMQ alone, and through the gateway.
DIRECT = ("direct", "kg2at")
#: A stock gateway whose kernelspec launches Python as Enterprise Gateway does.
LIKE_EG = ("EG-like", "kg2at")
#: A Toree of kg2at that is started for its user, and one that had waited.
COLD, WARM = "cold", "warm"
#: kg2at when many users come at once.
ONE_WAITS = "one waits"
HERD = ("none waits", ONE_WAITS)
#: How many users that are.
USERS = 6
#: How many kernels are stopped at the same time, and how many are adopted, beside how many.
STOPPED = {"one": 1, "eight": 8}
ADOPTED = {"none": 0, "twenty": 20}
#: Of how many kernels an overview is made.
OVERVIEW = {"no kernels": 0, "1,000": 1000}
#: How many outputs one cell makes.
BURST = 3000


class CannotMeasure(Exception):
    """Something did not run; the message says what."""


@dataclass(frozen=True)
class Quantity:
    """One row of the table. `limit` bounds the second side.

    It is a ratio to the first side, or with `more` what the second has on top, or with `most` the second alone.
    """

    what: str
    unit: str
    limit: float | None = None
    more: bool = False
    most: bool = False
    sides: tuple[str, ...] = SIDES
    #: What was measured, where several rows compare the same values.
    of: str = ""

    def compared(self, first: float, second: float) -> float:
        return second - first if self.more else second / first

    def verdict(self, first: float, second: float) -> str:
        if self.limit is None:
            return ""
        bounded = second if self.most else self.compared(first, second)
        return "ok" if bounded <= self.limit else "over"

    def cells(self, first: float, second: float) -> list[str]:
        """Both values, and how they compare. Sides that the table's head does not name are named."""
        named = ["", ""] if self.sides == SIDES else [f" {side}" for side in self.sides]
        values = [f"{shown(value)} {self.unit}{name}" for value, name in zip((first, second), named, strict=True)]
        compared = self.compared(first, second)
        return [
            *values,
            f"{shown(compared, '+')} {self.unit}" if self.more else f"{compared:.{2 if compared >= 0.1 else 3}f}",
        ]

    @property
    def bound(self) -> str:
        if self.limit is None:
            return ""
        return f"{'+' * self.more}{self.limit:g} {self.unit}" if self.more or self.most else f"{self.limit:g} x"


QUANTITIES = {
    "start": Quantity("gateway start, to the first answer", "ms", 1.1),
    "post": Quantity("POST /api/kernels, to 201", "ms", 1.1),
    "post_env": Quantity('POST with {"env": {}}, to 201', "ms", 1.1),
    "admission": Quantity("POST on a cluster with free cores", "ms", 5, more=True),
    "ready": Quantity("POST to kernel ready", "ms"),
    "cell": Quantity("first cell", "ms"),
    "memory": Quantity("the gateway's memory, one kernel", "MiB", 15, more=True),
    "delete": Quantity("DELETE of a ready kernel", "ms"),
    "stop": Quantity("DELETE of a Toree kernel, to its cores back", "ms", 1.1),
    "stops": Quantity("stopping 8 kernels side by side", "ms", 2, sides=tuple(STOPPED)),
    "small": Quantity("a Python cell that does nothing", "ms", 1 / 8),
    "python": Quantity("the same through kg2at", "ms", 3, more=True, sides=DIRECT),
    "toree": Quantity("a Toree cell that does nothing", "ms", 10, more=True, sides=DIRECT),
    "burst": Quantity(f"{BURST:,} outputs of a Python cell", "ms", 1),
    "python_ready": Quantity("POST to a Python kernel ready", "ms", 0.25, sides=LIKE_EG),
    "python_first": Quantity("POST to its first answer of Spark", "ms", 1, sides=LIKE_EG),
    "python_unused": Quantity("its processes' memory before", "MiB", 80, most=True, sides=LIKE_EG),
    "python_used": Quantity("the same after", "MiB", sides=LIKE_EG),
    "adoption": Quantity("start, adopting 20 kernels", "ms", 2000, more=True, sides=tuple(ADOPTED)),
    "status": Quantity("a status, in the gateway's loop", "ms", 50, most=True, sides=tuple(OVERVIEW)),
    "page": Quantity("the page, in the gateway's loop", "ms", 50, most=True, sides=tuple(OVERVIEW)),
    "metrics": Quantity("the metrics, in the gateway's loop", "ms", 50, most=True, sides=tuple(OVERVIEW)),
    "overview_memory": Quantity("memory after 100 of each overview", "MiB", 5, more=True, sides=tuple(OVERVIEW)),
}


def rows_of(of: str, what: str, unit: str, limits: dict[str, float | None]) -> dict[str, Quantity]:
    """A row for each side in `limits`, beside stock."""
    return {
        f"{of}_{side}": Quantity(f"{what}, {side}", unit, limit, sides=("stock", side), of=of)
        for side, limit in limits.items()
    }


QUANTITIES |= rows_of("toree_ready", "POST to a Toree ready", "ms", {COLD: 0.75, WARM: 1 / 40})
QUANTITIES |= rows_of("toree_first", "POST to its first answer of Spark", "ms", {COLD: 0.75, WARM: 0.2})
QUANTITIES |= rows_of("toree_next", "its next Spark job", "ms", {COLD: 0.7, WARM: 0.7})
QUANTITIES |= rows_of("toree_memory", "memory of a Toree", "MiB", {COLD: 1.15, WARM: 1.15})
QUANTITIES |= {
    "driver": Quantity("heavy code in a Toree", "ms", 1.05),
    "executor": Quantity("heavy code in an executor", "ms", 1.05),
    "herd_first": Quantity(f"{USERS} POSTs at once, the first ready", "ms", 1, sides=HERD),
    "herd_middle": Quantity("the third of them", "ms", 1, sides=HERD),
    "herd_last": Quantity("the last of them", "ms", 1, sides=HERD),
}


@dataclass
class Samples:
    """All that was measured: quantity -> side -> values, in the order they were taken."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))

    def add(self, quantity: str, side: str, value: float) -> None:
        self.values[quantity][side].append(value)

    @contextmanager
    def timed(self, quantity: str, side: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.add(quantity, side, (time.perf_counter() - began) * 1000)

    def has(self, row: str) -> bool:
        """Whether all of this row of the table was measured."""
        quantity = QUANTITIES[row]
        return all(self.values.get(quantity.of or row, {}).get(side) for side in quantity.sides)

    def medians(self, row: str) -> list[float]:
        """The two values of a row of the table."""
        quantity = QUANTITIES[row]
        return [self.median(quantity.of or row, side) for side in quantity.sides]

    def median(self, quantity: str, side: str) -> float:
        return statistics.median(self.values[quantity][side])


def shown(value: float, sign: str = "-") -> str:
    return f"{value:{sign}.{0 if abs(value) >= 100 else 1}f}"


def table(samples: Samples) -> list[str]:
    """The medians side by side."""
    rows = [("what (median)", *SIDES, "compared", "limit", "")]
    for name, quantity in QUANTITIES.items():
        if samples.has(name):
            medians = samples.medians(name)
            rows.append((quantity.what, *quantity.cells(*medians), quantity.bound, quantity.verdict(*medians)))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def report(samples: Samples) -> dict[str, Any]:
    """The same for programs, with every value that was measured."""
    return {
        name: {
            "unit": quantity.unit,
            "limit": quantity.limit,
            "limit_is": "more" if quantity.more else "most" if quantity.most else "ratio",
            "medians": dict(zip(quantity.sides, samples.medians(name), strict=True)),
            "verdict": quantity.verdict(*samples.medians(name)),
            "values": samples.values[quantity.of or name],
        }
        for name, quantity in QUANTITIES.items()
        if samples.has(name)
    }


def fill(page: Path, samples: Samples) -> None:
    """Put the table between the marks that docs/costs.md has for it."""
    begin, end = "<!-- bench -->\n", "<!-- /bench -->"
    head, found, rest = page.read_text(encoding="utf-8").partition(begin)
    if not found or end not in rest:
        raise CannotMeasure(f"{page} has no {begin.strip()} and {end} to fill.")
    text = "\n".join(["```", *table(samples), "```", ""])
    page.write_text(head + begin + text + rest[rest.index(end) :], encoding="utf-8")
