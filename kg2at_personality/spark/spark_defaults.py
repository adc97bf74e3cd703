"""spark-defaults.conf: its bytes, its encoding, its entries with their lines."""

from __future__ import annotations

import codecs
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

import ebcdic  # noqa: F401  (registers cp1047, the EBCDIC of z/OS Unix)
import javaproperties

from ..errors import SparkConfError
from .properties import Property, trimmed

NAME = "spark-defaults.conf"
SIZE_LIMIT = 2**20  # bytes; it is read at each kernel start, and no real one is larger
EBCDIC = "cp1047"

_LINE_END = re.compile(r"\r\n|\r|\n")
_WORD_BYTES = re.compile(rb"[0-9A-Za-z]")
_HIGH_BYTES = re.compile(rb"[\x80-\xff]")
_UNDECODED = re.compile("[\udc80-\udcff]")  # what "surrogateescape" makes of a byte that is none of the codec's


@dataclass(frozen=True)
class Defaults:
    """The entries of a spark-defaults.conf in order, with duplicates and keys of other programs, and its codec."""

    entries: tuple[Property, ...] = ()
    encoding: str = "utf-8"


def read_defaults(path: str, encoding: str | None = None) -> Defaults:
    """Read the file at `path`; a missing one has no entries. Blocks for a disk read.

    `encoding` forces a codec of Python's, None tells UTF-8 and EBCDIC apart by content. Raises SparkConfError for what
    can't be opened, is no regular file, is larger than 1 MiB, has an entry (no comment) that can't be decoded, or a bad
    \\u escape.
    """
    try:
        data = _bytes(path)
    except FileNotFoundError:
        return Defaults(encoding=encoding or "utf-8")
    except OSError as error:
        raise SparkConfError(path, f"it can't be read: {error.strerror}") from error
    if encoding is None and (utf_16 := _utf_16(data)):
        remedy = f"convert it (iconv -f {utf_16} -t UTF-8), or set KG2ATPersonality.spark_defaults_encoding to {utf_16}"
        raise SparkConfError(path, f"it is {utf_16}, and Spark reads UTF-8: {remedy}")
    codec = encoding or detected_encoding(data)
    return Defaults(tuple(_entries(path, _text(path, data, codec), codec)), codec)


def _bytes(path: str) -> bytes:
    # Without O_NONBLOCK the open itself would wait for a writer when the path is a FIFO.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SparkConfError(path, "it is not a regular file")
        data = file.read(SIZE_LIMIT + 1)
    if len(data) > SIZE_LIMIT:
        raise SparkConfError(path, f"it is larger than {SIZE_LIMIT} bytes")
    return data


def detected_encoding(data: bytes) -> str:
    """Return `utf-8` (ASCII is part of it) or `cp1047`, whichever `data` is.

    An EBCDIC file is never valid UTF-8: its small letters are bytes 0x81-0xA9, which UTF-8 has only behind a lead byte.
    An invalid file is EBCDIC when bytes that would be EBCDIC letters and digits outnumber the ASCII ones; else it is
    damaged UTF-8, and decoding it raises the error.
    """
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        high, words = len(_HIGH_BYTES.findall(data)), len(_WORD_BYTES.findall(data))
        if high > words and b"spark." not in data:
            return EBCDIC
    return "utf-8"


def _utf_16(data: bytes) -> str:
    """Return "UTF-16" or one of its byte orders when `data` is that, else "": other codecs have no zero bytes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    head = data[:64]
    if len(head) > 1 and not any(head[1::2]):
        return "UTF-16-LE"
    return "UTF-16-BE" if len(head) > 1 and not any(head[::2]) else ""


def _check_decoded(source: str, where: str, encoding: str) -> None:
    """Raise SparkConfError for a byte that is none of the encoding. Spark would put U+FFFD into the value."""
    if byte := _UNDECODED.search(source):
        remedy = "set KG2ATPersonality.spark_defaults_encoding to the file's encoding, or write it as \\uXXXX"
        raise SparkConfError(where, f"it isn't {encoding}: byte 0x{ord(byte[0]) - 0xDC00:02x} ({remedy})")


def _text(path: str, data: bytes, encoding: str) -> str:
    """Return the file's text, with line ends that Java's properties know."""
    errors = "strict" if encoding.lower().startswith(("utf-16", "utf_16", "utf16")) else "surrogateescape"
    data = data.removeprefix(codecs.BOM_UTF8) if encoding == "utf-8" else data
    try:
        text = data.decode(encoding, errors)
    except LookupError:
        raise SparkConfError(path, f"Python knows no encoding {encoding!r}") from None
    except UnicodeDecodeError as error:
        raise SparkConfError(path, f"it isn't {encoding}: {error.reason}") from None
    # A line of z/OS Unix ends with NEL; in UTF-8 NEL is an ordinary character for Java.
    return text if "a".encode(encoding) == b"a" else text.replace("\x85", "\n")


def _entries(path: str, text: str, encoding: str) -> Iterator[Property]:
    """Yield the entries with the line at which each begins."""
    line = 1
    try:
        for element in javaproperties.parse(text):
            if isinstance(element, javaproperties.KeyValue):
                _check_decoded(element.source, f"{path}, line {line}", encoding)
                yield Property(element.key, trimmed(element.value), path, line)
            line += len(_LINE_END.findall(element.source))
    except javaproperties.InvalidUEscapeError:
        # The message doesn't quote the escape: it may be part of a password.
        raise SparkConfError(f"{path}, line {line}", "\\u must be followed by four hexadecimal digits") from None
