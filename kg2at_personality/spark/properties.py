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
    """`value` without blanks and controls at its ends, line ends excepted: `Utils.trimExceptCRLF` of Spark 3.

    Spark does this to all it reads from a properties file, and such a file is how kg2at hands every value over.
    """
    return value.strip(_TRIMMED)


def as_read(setting: Property, environ: Mapping[str, str], properties: Mapping[str, str]) -> Property:
    """A checked `setting` with the references that Spark resolves in it. Raises SparkConfError for a circle of them."""
    if setting.key not in CHECKS or setting.key in VERBATIM or "${" not in setting.value:
        return setting
    try:
        return replace(setting, value=resolved(setting.value, environ, properties))
    except ValueError as error:
        raise SparkConfError(setting.where, f"{setting.key} must be {error}") from None


def converted(setting: Property, parse: Callable[[str], T], redactor: Callable[[], Redactor]) -> T:
    """The setting's value through `parse`. `redactor` is called only for an error message.

    Raises SparkConfError with the setting's origin and what the value must be; a secret value isn't quoted.
    """
    try:
        return parse(setting.value)
    except ValueError as error:
        # The redaction regex names secrets, and so counts as one by its own rule.
        secret = setting.key == REDACTION_KEY or redactor().is_secret(setting.key, setting.value)
        shown = "" if secret else f", not {setting.value!r}{_hint(setting, parse)}"
        raise SparkConfError(setting.where, f"{setting.key} must be {error}{shown}") from None


def _hint(setting: Property, parse: Callable[[str], object]) -> str:
    """The likely right value, when what is wrong is but quotes, a comment or a line's end; more for a master."""
    if setting.key == "spark.master":
        return hint(setting.value)
    likely = without_wrapping(setting.value)
    try:
        parse(likely)
    except ValueError:
        return ""
    return f" (write {likely})"
