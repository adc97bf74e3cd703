"""What the value of a property must be, so that Spark can use it: a parser for each kind, and which key has which."""

from __future__ import annotations

import re
from collections.abc import Callable

from . import java_options
from .master_url import parse_master
from .redaction import REDACTION_KEY, compile_java
from .units import BLANKS, mib, parse_time

INT_MAX = 2**31 - 1  # Java's Integer.MAX_VALUE
#: MiB that Spark wants of a driver's and of an executor's memory (UnifiedMemoryManager: 1.5 times the 300 it reserves).
SPARK_MIB = 450
#: Measured with Toree 0.5.0 on Spark 3.5.9 and Java 17: 160m answers and runs `1 + 1` in 14 s, 128m never answers.
TOREE_MIB = 160

# Parsers. Each raises ValueError with what the value must be: messages put "KEY must be " before it.


def whole(noun: str = "", least: int = -INT_MAX, most: int = INT_MAX) -> Callable[[str], int]:
    """Return a parser of 32-bit integers, `ConfigHelpers.toNumber` in Spark, within bounds: `whole(" of cores", 1)`."""

    def parse(text: str) -> int:
        digits = text.strip(BLANKS)
        # int() would let "1_000" pass; Java's Integer.parseInt doesn't.
        if not re.fullmatch("[+-]?[0-9]+", digits):
            raise ValueError(f"a whole number{noun}")
        if not least <= int(digits) <= most:
            raise ValueError(f"at least {least}" if int(digits) < least else f"at most {most}")
        return int(digits)

    return parse


def port(text: str) -> int:
    """Return a TCP port that Spark can listen on: 0 (any) or 1024-65535, all that `Utils.startServiceOnPort` takes."""
    number = whole(": a port", 0, 65535)(text)
    if 0 < number < 1024:
        raise ValueError("0 for any port or a port from 1024 up")
    return number


def truth(text: str) -> bool:
    """Return the truth of `true` or `false` in either case, and nothing else (`ConfigHelpers.toBoolean`)."""
    word = text.strip(BLANKS).lower()
    if word not in ("true", "false"):
        raise ValueError("true or false")
    return word == "true"


def memory(text: str) -> int:
    """Return a size in whole MiB, 0 for less than one; a bare number counts MiB."""
    try:
        return mib(text)
    except ValueError:
        raise ValueError("a size such as 512m or 2g, in whole numbers (1536m, not 1.5g)") from None


def driver_memory(text: str) -> int:
    """Return `memory` that is enough for Toree to answer and for Spark to make a context."""
    if (size := memory(text)) < SPARK_MIB:
        silent = f", and Toree does not even answer below {TOREE_MIB}m" if size < TOREE_MIB else ""
        raise ValueError(f"at least {SPARK_MIB}m, since Spark makes no SparkContext with less{silent}")
    return size


def executor_memory(text: str) -> int:
    """Return `memory` that is enough for Spark to start an executor."""
    if (size := memory(text)) < SPARK_MIB:
        raise ValueError(f"at least {SPARK_MIB}m, since Spark starts no executor with less")
    return size


def fraction(text: str) -> float:
    """Return a number from 0 to 1 (`SparkConf.validateSettings`)."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError("a number from 0 to 1") from None
    if not 0 <= number <= 1:
        raise ValueError("a number from 0 to 1")
    return number


def seconds(text: str) -> float:
    """Return a time in seconds; a bare number counts seconds."""
    try:
        return parse_time(text)
    except ValueError:
        raise ValueError("a time such as 90s or 3min, in whole numbers") from None


def regex(text: str) -> str:
    """Return a Java regex that Python can run, unchanged."""
    try:
        compile_java(text)
    except ValueError as error:
        raise ValueError(f"a regular expression ({error})") from None
    return text


_CORES = whole(" of cores", 1)
_EXECUTORS = whole(" of executors", 0)

# What is checked as soon as it is read: the properties that decide where and how large a kernel is, and those whose
# wrong value would make Spark fail later with a message nobody connects with its cause.
CHECKS: dict[str, Callable[[str], object]] = {
    "spark.master": parse_master,
    **dict.fromkeys(("spark.cores.max", "spark.executor.cores", "spark.driver.cores", "spark.task.cpus"), _CORES),
    "spark.executor.instances": _EXECUTORS,
    "spark.dynamicAllocation.minExecutors": _EXECUTORS,
    "spark.dynamicAllocation.initialExecutors": _EXECUTORS,
    "spark.dynamicAllocation.maxExecutors": whole(" of executors", 1),
    **dict.fromkeys(("spark.driver.port", "spark.blockManager.port", "spark.driver.blockManager.port"), port),
    **dict.fromkeys(("spark.ui.port", "spark.history.ui.port", "spark.worker.ui.port"), port),
    **dict.fromkeys(("spark.master.ui.port", "spark.ssl.standalone.port"), whole(": a port", 1, 65535)),
    "spark.port.maxRetries": whole(" of tries", 0),
    "spark.driver.memory": driver_memory,
    "spark.executor.memory": executor_memory,
    **dict.fromkeys(("spark.executor.memoryOverhead", "spark.driver.memoryOverhead"), memory),
    **dict.fromkeys(("spark.executor.pyspark.memory", "spark.memory.offHeap.size"), memory),
    "spark.driver.maxResultSize": memory,
    **dict.fromkeys(("spark.network.timeout", "spark.executor.heartbeatInterval"), seconds),
    **dict.fromkeys(("spark.dynamicAllocation.enabled", "spark.shuffle.service.enabled", "spark.ui.enabled"), truth),
    **dict.fromkeys(("spark.eventLog.enabled", "spark.authenticate", "spark.memory.offHeap.enabled"), truth),
    **dict.fromkeys(("spark.ssl.enabled", "spark.ssl.standalone.enabled"), truth),
    **dict.fromkeys(("spark.authenticate.enableSaslEncryption", "spark.network.crypto.enabled"), truth),
    **dict.fromkeys(("spark.memory.fraction", "spark.memory.storageFraction"), fraction),
    **dict.fromkeys((java_options.DRIVER, java_options.DRIVER_DEFAULT), java_options.driver),
    **dict.fromkeys((java_options.EXECUTOR, java_options.EXECUTOR_DEFAULT), java_options.executor),
    REDACTION_KEY: regex,
}

# Those of them that spark-submit or Spark reads as they are written, references and all: spark-submit refuses a
# reference in a size or a count ("must be a positive number", SparkSubmitArguments.validateSubmitArguments).
VERBATIM = frozenset(
    """spark.master spark.cores.max spark.executor.cores spark.driver.cores spark.executor.instances
    spark.executor.memory spark.driver.memory spark.port.maxRetries spark.driver.extraJavaOptions
    spark.driver.defaultJavaOptions spark.executor.extraJavaOptions spark.executor.defaultJavaOptions""".split()
) | {REDACTION_KEY}
