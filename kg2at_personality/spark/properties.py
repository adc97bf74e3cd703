"""One of Spark's properties: its value, where that comes from, and the errors about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..errors import SparkConfError
from .master_url import hint, without_wrapping
from .redaction import REDACTION_KEY, Redactor
from .references import resolved
from .units import BLANKS
from .values import CHECKS, VERBATIM

T = TypeVar("T")
_TRIMMED = BLANKS.replace("\r", "").replace("\n", "")


@dataclass(frozen=True)
class Property:
    """A property with its origin. The value stays out of `repr`: it may be a secret."""

    key: str
    value: str = field(repr=False)
    source: str
    line: int | None = None
    overrode: Property | None = None

    @property
    def where(self) -> str:
        """`FILE, line N` for an entry of a file, else the source."""
        return self.source if self.line is None else f"{self.source}, line {self.line}"


def trimmed(value: str) -> str:
    """Return `value` without blanks and controls at its ends, except line ends: `Utils.trimExceptCRLF` of Spark 3.

    Spark does this to all it reads from a properties file, and kg2at passes every value in such a file.
    """
    return value.strip(_TRIMMED)


def as_read(entry: Property, environ: Mapping[str, str], properties: Mapping[str, str]) -> Property:
    """Return a checked `entry` with the references resolved that Spark resolves. Raises SparkConfError for a circle."""
    if entry.key not in CHECKS or entry.key in VERBATIM or "${" not in entry.value:
        return entry
    try:
        return replace(entry, value=resolved(entry.value, environ, properties))
    except ValueError as error:
        raise SparkConfError(entry.where, f"{entry.key} must be {error}") from None


def converted(entry: Property, parse: Callable[[str], T], redactor: Callable[[], Redactor]) -> T:
    """Return the entry's value through `parse`. `redactor` is called only for an error message.

    Raises SparkConfError with the entry's origin and what the value must be; a secret value isn't quoted.
    """
    try:
        return parse(entry.value)
    except ValueError as error:
        # The redaction regex names secrets, and so counts as one by its own rule.
        secret = entry.key == REDACTION_KEY or redactor().is_secret(entry.key, entry.value)
        shown = "" if secret else f", not {entry.value!r}{_hint(entry, parse)}"
        raise SparkConfError(entry.where, f"{entry.key} must be {error}{shown}") from None


def _hint(entry: Property, parse: Callable[[str], object]) -> str:
    """Return the likely right value if quotes, a comment or a line's end are wrong; more for a master; "" else."""
    if entry.key == "spark.master":
        return hint(entry.value)
    likely = without_wrapping(entry.value)
    try:
        parse(likely)
    except ValueError:
        return ""
    return f" (write {likely})"
