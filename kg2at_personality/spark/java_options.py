"""Options of a JVM in Spark's properties: how Spark splits them, which it refuses, and the charset that Toree needs."""

from __future__ import annotations

import re
from collections.abc import Iterator

DRIVER = "spark.driver.extraJavaOptions"
EXECUTOR = "spark.executor.extraJavaOptions"
#: Put before the others since Spark 3.0; kg2at puts them there itself.
DRIVER_DEFAULT = "spark.driver.defaultJavaOptions"
EXECUTOR_DEFAULT = "spark.executor.defaultJavaOptions"

#: Java before 18 takes its charset from the locale, Java from 19 on that of standard output and error; each ignores
#: what is for the other. File names go by the locale in every Java: sun.jnu.encoding can't be set.
UTF_8 = "-Dfile.encoding=UTF-8 -Dstdout.encoding=UTF-8 -Dstderr.encoding=UTF-8"

# Java's Character.isWhitespace: no no-break spaces.
_BLANK = "\t-\r\x1c-\x20\u1680\u2000-\u2006\u2008-\u200a\u2028\u2029\u205f\u3000"
_PIECE = re.compile(
    rf"(?P<blank>[{_BLANK}]+)|\\(?P<escaped>.)|'(?P<single>[^']*)'|\"(?P<double>(?:\\.|[^\"\\])*)\"|(?P<plain>[^{_BLANK}\\'\"]+)",
    re.DOTALL,
)
_CHARSET = "-Dfile.encoding="


def split(text: str) -> list[str]:
    """Return the options in `text`, as `CommandBuilderUtils.parseOptionString` of Spark splits them.

    A backslash takes the next character as it is, within double quotes too. Raises ValueError for an open quote.
    """
    return list(_words(text))


def _words(text: str) -> Iterator[str]:
    word: str | None = None
    at = 0
    while at < len(text):
        piece = _PIECE.match(text, at)
        if piece is None:
            raise ValueError("options whose quotes are closed and that end with no backslash")
        at = piece.end()
        if piece["blank"] is None:
            word = (word or "") + _unquoted(piece)
        elif word is not None:
            yield word
            word = None
    if word is not None:
        yield word


def _unquoted(piece: re.Match[str]) -> str:
    if piece["double"] is not None:
        return re.sub(r"(?s)\\(.)", r"\1", piece["double"])
    return piece["escaped"] or piece["single"] or piece["plain"] or ""


# Parsers, as those in `values`: ValueError says what the value must be.


def driver(text: str) -> list[str]:
    """Return the driver's options. Spark refuses `Xmx` anywhere in them (`SparkSubmitCommandBuilder.checkJavaOptions`).

    Another charset than UTF-8 is refused too: Toree signs its messages in the JVM's charset, and a gateway drops those
    whose signature was made in another.
    """
    options = split(text)
    if "Xmx" in text:
        raise ValueError("free of -Xmx, which Spark refuses here (set spark.driver.memory instead)")
    charset = next((option.removeprefix(_CHARSET) for option in reversed(options) if option.startswith(_CHARSET)), "")
    if charset and charset.lower().replace("-", "") != "utf8":
        raise ValueError("free of -Dfile.encoding, or have it UTF-8, since cells would hang with another")
    return options


def executor(text: str) -> str:
    """Return the executors' options, unchanged. Open quotes pass, as in `SparkConf.validateSettings`."""
    if "-Xmx" in text:
        raise ValueError("free of -Xmx, which Spark refuses here (set spark.executor.memory instead)")
    if "-Dspark" in text:
        raise ValueError("free of -Dspark..., which Spark refuses here (set the property itself)")
    return text
