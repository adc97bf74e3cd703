"""The properties that Spark knows, and which of them a misspelt key is nearest to.

`python -m kg2at_personality.spark.known_keys JARS JARS > known_keys.txt` made the list beside this module, from the
jars of the newest Spark 3.5 and 4.
"""

from __future__ import annotations

import functools
import importlib.resources
import re
import struct
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

_KEY = re.compile(rb"spark(?:\.[A-Za-z][A-Za-z0-9_-]*)+")
_SIZES = {3: 4, 4: 4, 5: 8, 6: 8, 7: 2, 8: 2, 9: 4, 10: 4, 11: 4, 12: 4, 15: 3, 16: 2, 17: 4, 18: 4, 19: 2, 20: 2}


@functools.cache
def known_keys() -> frozenset[str]:
    """Return every key of Spark 3.5 and 4. Reads a file of 80 kB, once."""
    text = importlib.resources.files(__package__).joinpath("known_keys.txt").read_text("ascii")
    return frozenset(line for line in text.splitlines() if not line.startswith("#"))


def misspelt(key: str) -> str | None:
    """Return the known key from which `key` differs by one letter: left out, added, replaced, or swapped with the next.

    None when `key` is known, or none is that near.
    """
    known = known_keys()
    if key in known:
        return None
    return min((near for near in known if _one_apart(key, near)), default=None)


def _one_apart(one: str, other: str) -> bool:
    """Tell whether one edit makes the one into the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    rest, goal = one[start:], other[start:]
    swapped = rest[1:2] + rest[:1] + rest[2:]
    return rest[1:] == goal or rest == goal[1:] or rest[1:] == goal[1:] or (len(rest) > 1 and swapped == goal)


# How the list is made: the constants in Spark's own classes that look like keys.


def keys_in(*directories: Path) -> list[str]:
    """Return the keys in the class files of spark-*.jar, sorted."""
    jars = (jar for directory in directories for jar in directory.glob("spark-*.jar"))
    return sorted({key for jar in jars for key in _keys_in_jar(jar)})


def _keys_in_jar(jar: Path) -> Iterator[str]:
    with zipfile.ZipFile(jar) as archive:
        for name in archive.namelist():
            if name.startswith("org/apache/spark/") and name.endswith(".class"):
                yield from (text.decode() for text in _texts(archive.read(name)) if _KEY.fullmatch(text))


def _texts(content: bytes) -> Iterator[bytes]:
    """Yield the UTF-8 constants of a class file (Java Virtual Machine Specification 4.4)."""
    (count,) = struct.unpack_from(">H", content, 8)
    at, number = 10, 1
    while number < count:
        tag = content[at]
        size = _SIZES.get(tag, 0)
        if tag == 1:
            (length,) = struct.unpack_from(">H", content, at + 1)
            yield content[at + 3 : at + 3 + length]
            size = 2 + length
        at += 1 + size
        number += 2 if tag in (5, 6) else 1


if __name__ == "__main__":
    print("# What Spark's classes hold that looks like a property's key; of the jars of pyspark 3.5.9 and 4.3.0")
    print("# python -m kg2at_personality.spark.known_keys JARS JARS > kg2at_personality/spark/known_keys.txt")
    print("\n".join(keys_in(*map(Path, sys.argv[1:]))))
