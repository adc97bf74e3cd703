"""What clients, kernels and files may not do to the log: leave a token there, or speak to the reader's terminal."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote

BLOT = "[token]"
#: The attribute of a record that prints the token on purpose.
UNCUT = "kg2at_uncut"
#: A token that is shorter hides nothing, and would blot out half of the log.
SHORTEST = 4
#: How often a URL may be encoded over, and is still read.
LAYERS = 3
#: One parameter of a URL's query; and one that names a token, or holds a URL that does.
PARAMETER = re.compile(r"(?<=[?&])[^&\s]+")
NAMES_TOKEN = re.compile(r"token[^=&]*=", re.IGNORECASE)
#: Control characters but tab and newline (tornado's LogFormatter indents the lines of a message), what turns the
#: direction of text, and lone surrogates, which no stream takes.
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class LogFilter(logging.Filter):
    """Cleans each record of a handler: message, traceback and stack."""

    def __init__(self, token: Callable[[], str]) -> None:
        """`token` tells the gateway's own token, "" when it has none."""
        super().__init__()
        self._token = token

    def install(self) -> None:
        """Clean what every handler gets that there is now; again, for those that have come since."""
        for handler in _handlers():
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by each handler before it writes. A message that can't be formatted is left for it to tell."""
        try:
            message = record.getMessage()
        except (TypeError, ValueError, LookupError):
            return True
        token = None if getattr(record, UNCUT, False) else self._token()
        record.msg, record.args = clean(message, token), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = clean(record.exc_text, token) if record.exc_text else None
        record.stack_info = clean(record.stack_info, token) if record.stack_info else None
        return True


def clean(text: str, token: str | None) -> str:
    """`text` with its unprintable characters escaped, and without tokens: `token` itself and what URLs call one.

    None leaves all tokens, for a line that is to show one.
    """
    if token is not None:
        text = PARAMETER.sub(_blot_parameter, text)
        if len(token) >= SHORTEST:
            text = _spellings(token).sub(BLOT, text)
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _blot_parameter(found: re.Match[str]) -> str:
    plain = found[0]
    for _ in range(LAYERS):
        plain = unquote(plain)
    if not NAMES_TOKEN.search(plain):
        return found[0]
    name, equals, _ = found[0].partition("=")
    return f"{name}=" + BLOT if equals else BLOT


@lru_cache(maxsize=8)
def _spellings(token: str) -> re.Pattern[str]:
    """`token` with any of its characters as they stand in a URL, encoded once or over and over."""
    return re.compile("".join(map(_spelling, token)))


def _spelling(character: str) -> str:
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(character)}|{encoded})"


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.getLogger().handlers
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
