"""What is told of a process that died."""

from __future__ import annotations

import pytest

from kg2at_personality.spark.log_excerpt import excerpt

#: What spark-submit says of -Xmx, and Spark's usage, which is 90 lines long.
XMX = "Error: Not allowed to specify max heap(Xmx) memory settings through java options (was -Xmx1g)."
USAGE = [
    "Usage: spark-submit [options] <app jar | python file | R file> [app arguments]",
    "Options:",
    *(f"  --option-{number}   NAME     What it is good for" for number in range(70)),
    " Cluster deploy mode only:",
]
FRAMES = [f"\tat org.example.Deep.level{number}(Deep.scala:{number})" for number in range(60)]
MAIN = 'Exception in thread "main" java.lang.IllegalStateException: no workers'
DISK = "Caused by: java.io.IOException: disk"
NO_JVM = "Error: Could not create the Java Virtual Machine."
FATAL = "Error: A fatal exception has occurred. Program will exit."
TRACEBACK = "Traceback (most recent call last):"
MISSING = "ModuleNotFoundError: No module named 'y'"
LOST = "org.apache.spark.SparkException: lost"
NO_VM = "Error occurred during initialization of VM"
TOO_SMALL = NO_VM, "Too small maximum heap"
NO_AGENT = "Error opening zip file or JAR manifest missing : /no.jar", NO_VM, "agent library failed to init: instrument"
NOISE = [f"25/11/25 12:00:{number:02} INFO SparkContext: Running Spark" for number in range(40)]


@pytest.mark.parametrize(
    ("lines", "first", "also"),
    [
        ([XMX, *USAGE], XMX, ["Options:"]),
        ([*NOISE, XMX, *USAGE], XMX, []),
        ([*NOISE, MAIN, *FRAMES, DISK, *FRAMES], MAIN, [DISK]),
        (["Unrecognized VM option 'Foo'", NO_JVM, FATAL], "Unrecognized VM option 'Foo'", [NO_JVM]),
        ([NO_JVM], NO_JVM, []),
        ([*TOO_SMALL], TOO_SMALL[0], [TOO_SMALL[1]]),
        ([*NO_AGENT], NO_AGENT[0], [*NO_AGENT]),
        ([TRACEBACK, *["  File x, line 1"] * 60, MISSING], TRACEBACK, [MISSING]),
        (["java.net.BindException: taken", *NOISE, LOST, *FRAMES[:3]], LOST, []),
        ([*NOISE, *FRAMES[:5], DISK, *FRAMES], DISK, []),
    ],
)
def test_it_begins_where_the_reason_is(lines: list[str], first: str, also: list[str]) -> None:
    told = excerpt(lines, 20)
    assert told[0] == first and set(also) <= set(told) and len(told) <= 20


@pytest.mark.parametrize("lines", [NOISE, ["spark-class: line 71: /no/java: No such file or directory"], []])
def test_without_a_reason_it_is_the_end(lines: list[str]) -> None:
    assert excerpt(lines, 20) == lines[-20:]


def test_what_is_short_is_whole() -> None:
    lines = [MAIN, *FRAMES[:5], DISK, *FRAMES[:5]]
    assert excerpt([*NOISE, *lines], 20) == lines
