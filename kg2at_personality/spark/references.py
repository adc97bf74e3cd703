"""References in values, `${env:NAME}` and `${spark.other.key}`, as Spark resolves them."""

from __future__ import annotations

import re
from collections.abc import Mapping

# ConfigReader.REF_RE of Spark (org.apache.spark.internal.config).
_REFERENCE = re.compile(r"\$\{(?:(\w+?):)?(\S+?)\}", re.ASCII)


def resolved(value: str, environ: Mapping[str, str], properties: Mapping[str, str]) -> str:
    """Return `value` with its references resolved (`ConfigReader.substitute`).

    Those to Spark's JVM (`${system:...}`) and to its defaults are not known here, and stay as they are. Raises
    ValueError for a reference that leads to itself.
    """
    return _resolved(value, environ, properties, ())


def _resolved(value: str, environ: Mapping[str, str], properties: Mapping[str, str], used: tuple[str, ...]) -> str:
    def replacement(match: re.Match[str]) -> str:
        prefix, name = match[1], match[2]
        source = environ if prefix == "env" else properties if prefix is None and name.startswith("spark.") else {}
        if match[0] in used:
            raise ValueError("without a reference that leads to itself")
        if name not in source:
            return match[0]
        return _resolved(source[name], environ, properties, (*used, match[0]))

    return _REFERENCE.sub(replacement, value)
