"""Sizes and times as Spark writes them: `512m`, `2g`, `90s`, `3min`.

The rules are `JavaUtils.byteStringAs` and `JavaUtils.timeStringAs` of Spark 3.5 (org.apache.spark.network.util); a test
holds these functions against the real ones.
"""

from __future__ import annotations

import re

MIB = 2**20
LONG_MAX = 2**63 - 1  # Java's Long.MAX_VALUE: Spark parses and returns 64-bit numbers

BLANKS = "".join(map(chr, range(0x21)))  # what Java's String.trim() takes away: everything up to U+0020

_SIZE = re.compile(r"([0-9]+)([a-z]+)?")
_FRACTION = re.compile(r"[0-9]+\.[0-9]+([a-z]+)?")
_TIME = re.compile(r"(-?[0-9]+)([a-z]+)?")

_BYTES = {"b": 1}
_BYTES.update({prefix + b: 1024 ** (power + 1) for power, prefix in enumerate("kmgtp") for b in ("", "b")})

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(text: str, default_unit: str = "m") -> int:
    """Return the bytes in `text`: a whole number and one of b, k, kb, m, mb, g, gb, t, tb, p, pb in either case.

    A number without a unit counts `default_unit`s (Spark: MiB for executor and driver memory). Raises ValueError with a
    sentence for a user: a fraction, a sign, an unknown unit, or more than 2^63-1 bytes.
    """
    lower = text.lower().strip(BLANKS)
    if _FRACTION.fullmatch(lower):
        raise ValueError(f"{text!r} is not a size: Spark takes no fractions, write 1536m instead of 1.5g")
    match = _SIZE.fullmatch(lower)
    unit = _BYTES.get(match[2] or default_unit) if match else None
    if match is None or unit is None:
        raise ValueError(f"{text!r} is not a size: write a whole number with b, k, m, g, t or p, such as 512m")
    if (size := int(match[1]) * unit) > LONG_MAX:
        raise ValueError(f"{text!r} is not a size: it is more than 2^63-1 bytes")
    return size


def mib(text: str, default_unit: str = "m") -> int:
    """Return the whole MiB in `text`, rounded down (`byteStringAsMb`). Raises ValueError as `parse_size` does."""
    return parse_size(text, default_unit) // MIB


def spark_size(mebibytes: int) -> str:
    """Return a size in MiB as Spark writes it: 512m, 4g."""
    return f"{mebibytes}m" if mebibytes % 1024 else f"{mebibytes // 1024}g"


def readable_size(mebibytes: int) -> str:
    """Return a size in MiB as sentences have it: 1 GiB, 1.5 GiB, 600 MiB."""
    quarters = mebibytes >= 1024 and mebibytes % 256 == 0
    return f"{mebibytes / 1024:g} GiB" if quarters else f"{mebibytes} MiB"


def parse_time(text: str, default_unit: str = "s") -> float:
    """Return the seconds in `text`: a whole number, perhaps negative, and us, ms, s, m, min, h or d in either case.

    A number without a unit counts `default_unit`s. Spark cuts to a whole number of the caller's unit, this keeps the
    fraction (`1500ms` is 1.5). Raises ValueError with a sentence for a user: a fraction, an unknown unit, no number.
    """
    match = _TIME.fullmatch(text.lower().strip(BLANKS))
    unit = _SECONDS.get(match[2] or default_unit) if match else None
    if match is None or unit is None or abs(int(match[1])) > LONG_MAX:
        raise ValueError(f"{text!r} is not a time: write a whole number with us, ms, s, m, h or d, such as 90s")
    return int(match[1]) * unit
