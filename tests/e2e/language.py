"""What a notebook says in each language of kg2at's kernels, where a test holds for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.fakes.channels import HERE, PYTHON, SCALA


@dataclass(frozen=True)
class Language:
    """The kernel of its notebooks, and its cells. `unknown` is what an error says of a name that nobody has set."""

    kernel: str
    application: str
    here: str
    unknown: str
    _let: str
    _show: str
    _sum: str
    _sleep: str
    _gated: str

    def let(self, name: str, value: str) -> str:
        """Give a variable its value; a whole line."""
        return self._let.replace("NAME", name).replace("VALUE", value) + "\n"

    def show(self, value: str) -> str:
        """Print a value; a whole line."""
        return self._show.replace("VALUE", value) + "\n"

    def sum(self, most: int) -> str:
        """Add the numbers up to `most` in a Spark job of two tasks."""
        return self._sum.replace("MOST", str(most))

    def sleep(self, seconds: float) -> str:
        """Come to HERE and sleep."""
        return self._sleep.replace("MS", str(int(seconds * 1000))).replace("SECONDS", str(seconds))

    def gated(self, gate: Path) -> str:
        """Add 1 and 2 in a job whose two tasks come to HERE and wait until somebody makes the file `gate`."""
        return self._gated.replace("GATE", str(gate))


TOREE = Language(
    kernel="apache_toree_scala",
    application="Apache Toree - Scala",
    here=SCALA,
    unknown="not found",
    _let="val NAME = VALUE",
    _show="println(VALUE)",
    _sum="sc.parallelize(1 to MOST, 2).sum",
    _sleep=f"{HERE}; Thread.sleep(MS)",
    _gated=(
        f"sc.parallelize(1 to 2, 2).map {{ n => {HERE};"
        ' while (!new java.io.File("GATE").exists) Thread.sleep(10); n }.sum'
    ),
)
#: A task's function is an expression: what it needs it imports itself.
_WAIT = "[None for _ in iter(lambda: __import__('os').path.exists('GATE') or __import__('time').sleep(0.01), True)]"
PYSPARK = Language(
    kernel="spark_python",
    application="Apache Spark - Python",
    here=PYTHON,
    unknown="not defined",
    _let="NAME = VALUE",
    _show="print(VALUE)",
    _sum="sc.parallelize(range(1, MOST + 1), 2).sum()",
    _sleep=f"{HERE}; import time; time.sleep(SECONDS)",
    _gated=f"sc.parallelize([1, 2], 2).map(lambda n: ({HERE}, {_WAIT}, n)[-1]).sum()",
)
LANGUAGES = (TOREE, PYSPARK)


def name(language: Language) -> str:
    """Return how pytest calls a test of it."""
    return language.kernel
