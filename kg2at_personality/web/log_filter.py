"""A filter for the log: it takes out tokens, and control characters that would reach the reader's terminal."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote

#: What stands in the place of a token.
REDACTED = "[token]"
#: The attribute of a record that shows the token on purpose.
UNFILTERED = "kg2at_unfiltered"
#: Fewest characters of a token that is taken out wherever it stands; a shorter one would be found in ordinary words.
SHORTEST = 4
#: How often a parameter is decoded to find a token in it.
LAYERS = 3
#: A parameter of a URL's query; one that is called a token, or holds a URL with such a parameter.
PARAMETER = re.compile(r"(?<=[?&])[^&\s]+")
NAMES_TOKEN = re.compile(r"token[^=&]*=", re.IGNORECASE)
#: Control characters except tab and newline (tornado's LogFormatter indents the lines of a message), characters that
#: change the direction of text, and lone surrogates, which can't be encoded.
UNPRINTABLE = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
#: Lines of the access log about what is asked for again and again, and was answered: the open page, probes, Prometheus.
ACCESS_LOG = "tornado.access"
ASKED_AGAIN = re.compile(r"200 (?:GET|HEAD) \S*/(?:kg2at/\?part=main|kg2at/live|kg2at/ready|metrics) ")


class LogFilter(logging.Filter):
    """Cleans each record of a log handler: message, traceback and stack."""

    def __init__(self, token: Callable[[], str]) -> None:
        """`token` returns the gateway's own token, "" when it has none."""
        super().__init__()
        self._token = token

    def install(self) -> None:
        """Filter what all log handlers of this moment get. Idempotent; call again when there are new ones."""
        for handler in _handlers():
            handler.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Clean a record; return False for what nobody reads. Called by each handler before it writes.

        A message that can't be formatted is left as it is: the handler reports the error. So is one that is no text: an
        event, which jupyter_events writes as JSON.
        """
        if isinstance(record.msg, dict):
            return True
        try:
            message = record.getMessage()
        except (TypeError, ValueError, LookupError):
            return True
        if record.name == ACCESS_LOG and ASKED_AGAIN.match(message):
            return False
        token = None if getattr(record, UNFILTERED, False) else self._token()
        record.msg, record.args = clean(message, token), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = clean(record.exc_text, token) if record.exc_text else None
        record.stack_info = clean(record.stack_info, token) if record.stack_info else None
        return True


def clean(text: str, token: str | None) -> str:
    """Return `text` without `token` and the tokens in URLs, its unprintable characters escaped.

    With None for `token` all tokens stay, for a line that is to show one.
    """
    if token is not None:
        text = PARAMETER.sub(_redact_parameter, text)
        if len(token) >= SHORTEST:
            text = _spellings(token).sub(REDACTED, text)
    return UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _redact_parameter(found: re.Match[str]) -> str:
    plain = found[0]
    for _ in range(LAYERS):
        plain = unquote(plain)
    if not NAMES_TOKEN.search(plain):
        return found[0]
    name, equals, _ = found[0].partition("=")
    return f"{name}={REDACTED}" if equals else REDACTED


@lru_cache(maxsize=8)
def _spellings(token: str) -> re.Pattern[str]:
    """Return a pattern for `token` with any of its characters percent-encoded, once or several times."""
    return re.compile("".join(map(_spelling, token)))


def _spelling(character: str) -> str:
    encoded = "".join(f"%(?:25)*(?i:{byte:02x})" for byte in character.encode("utf-8", "surrogatepass"))
    return f"(?:{re.escape(character)}|{encoded})"


def _handlers() -> Iterator[logging.Handler]:
    yield from logging.getLogger().handlers
    for logger in logging.Logger.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            yield from logger.handlers
