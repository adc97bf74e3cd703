"""Which of Spark's properties are secret, and how to keep them out of what people read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "*********(redacted)"  # Utils.REDACTION_REPLACEMENT_TEXT
REDACTION_KEY = "spark.redaction.regex"
DEFAULT_REGEX = "(?i)secret|password|token|access[.]?key"  # SECRET_REDACTION_PATTERN of Spark 3.5

# Java's regex syntax as far as it differs from Python's: \Q..\E quotes, names of groups, the end of the text.
_JAVA = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)"
    r"|(?P<name>\(\?<(?=[A-Za-z]))"
    r"|\\(?P<end>[zZ])"
    r"|(?P<foreign>\\[pPhHvVRXGkce]|\\x\{|[*+?}]\+|\(\?>|(?!\A)\(\?[A-Za-z-]+\))"
    r"|\[\^?\]?(?P<members>(?:\\.|[^\]\\])*)\]"
    r"|\\.",
    re.DOTALL,
)

_NEWLINE = re.compile(r"[\r\n]+")

# Values that are never masked in text, where they occur everywhere and tell nothing: truth values, and numbers below
# 100000 with or without one of Spark's units.
_ORDINARY = re.compile("true|false|yes|off|none|null|-?[0-9]{1,5}([kmgtp]?b|[kmgtpshd]|[um]s|min)?", re.IGNORECASE)

# The key and the separator of `key=value`, `key: value`, `"key": "value"`; the lookbehind keeps the search linear.
_PAIR_KEY = re.compile(r"(?<![\w.-])(?P<key>[\w.-]+)[\"']?[ \t]*[=:][ \t]*")
_PAIR_VALUE = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|[^\s]+", re.DOTALL)


def compile_java(regex: str) -> re.Pattern[str]:
    """Compile a regular expression written for `java.util.regex`.

    Letters fold and classes match in ASCII only, as Java does unless told otherwise. Raises ValueError with a sentence
    (which doesn't quote `regex`) for bad syntax, and for what Python can't say: `\\p{..}`, possessive quantifiers,
    class arithmetic, flags after the beginning.
    """
    try:
        return re.compile(_JAVA.sub(_translated, regex), re.ASCII)
    except (re.error, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a regular expression kg2at can use: {error}") from error


def _translated(token: re.Match[str]) -> str:
    """Return Python's spelling of one token of a Java regex."""
    if token["quoted"] is not None:
        return re.escape(token["quoted"])
    if token["name"]:
        return "(?P<"
    if token["end"]:
        return r"\Z" if token["end"] == "z" else r"(?=\n?\Z)"
    members = re.sub(r"\\.", "", token["members"] or "")
    if token["foreign"] or "[" in members or "&&" in members:
        raise re.error("it uses a construct of Java's that Python lacks")
    return token[0]


class Redactor:
    """Tells secrets by `spark.redaction.regex` and masks them.

    `regex` has Java's syntax (see `compile_java`, which raises ValueError); `values` are the properties in force, whose
    secret values `text` masks wherever they appear.
    """

    def __init__(self, regex: str = DEFAULT_REGEX, values: Mapping[str, str] | None = None) -> None:
        self._pattern = compile_java(regex)
        self._needles = _alternatives(self._secrets(values or {}))

    def is_secret(self, key: str, value: str) -> bool:
        """Tell whether the regex is found in the key or in the value, as Spark's `Utils.redact` does."""
        return bool(self._pattern.search(key) or self._pattern.search(value))

    def mask(self, key: str, value: str) -> str:
        """Return `value`, or `*********(redacted)` when it is secret."""
        return MASK if self.is_secret(key, value) else value

    def text(self, text: str) -> str:
        """Return `text` (log lines, an error) with secret values masked, and what follows a secret key and `=` or `:`.

        Known values are masked first and whole: what follows a key ends at the first blank.
        """
        if self._needles is not None:
            text = self._needles.sub(MASK, text)
        return "".join(self._without_pairs(text))

    def _secrets(self, values: Mapping[str, str]) -> Iterator[str]:
        """Yield the texts to mask: secret values and, as logs are read line by line, the longer lines of each."""
        for key, value in values.items():
            # The regex matches itself, and a value that is nothing but the matched word ("token") is a name.
            named = self._pattern.search(key)
            if key == REDACTION_KEY or not (named or self._pattern.search(value)):
                continue
            if not named and self._pattern.fullmatch(value):
                continue
            yield value
            yield from (line for line in _NEWLINE.split(value) if len(line) >= 8)

    def _without_pairs(self, text: str) -> Iterator[str]:
        done = 0
        for pair in _PAIR_KEY.finditer(text):
            # The key is inside a value that has just been masked.
            if pair.start() < done or not self._pattern.search(pair["key"]):
                continue
            if value := _PAIR_VALUE.match(text, pair.end()):
                yield text[done : pair.end()] + MASK
                done = value.end()
        yield text[done:]


def _alternatives(secrets: Iterable[str]) -> re.Pattern[str] | None:
    """Return one regex for all secrets, longest first: one secret may be the beginning of another."""
    worth = {secret for secret in secrets if len(secret) > 2 and not _ORDINARY.fullmatch(secret)}
    ordered = sorted(worth, key=lambda secret: (-len(secret), secret))
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None
