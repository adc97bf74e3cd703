"""A master's response to `GET /json/`, read into the state of its cluster."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from tornado.httpclient import HTTPResponse

from ..errors import MalformedAnswer, MasterUnreachable
from .cluster import ClusterState
from .master_answer import parse
from .master_state import cluster_state
from .master_ui import shown


def read_response(response: HTTPResponse, url: str) -> ClusterState:
    """Return the state that the response from `url` shows. Raises MasterUnreachable.

    Called in a thread when the response is large.
    """
    if 300 <= response.code < 400:
        where = shown(response.headers.get("Location", "nowhere"))
        raise MasterUnreachable(url, f"it redirects to {where}: the master's own address is needed")
    if response.code != 200:
        raise MasterUnreachable(url, f"HTTP {response.code} {response.reason}")
    try:
        payload = parse(response.body)
    except (ValueError, RecursionError) as error:
        raise MalformedAnswer(url, f"not JSON but {_looks_like(response)}") from error
    return cluster_state(payload, url, _clock_of(response))


def _clock_of(response: HTTPResponse) -> float | None:
    """Return what the master's clock said, in seconds since the epoch; None for an answer without a date."""
    try:
        return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None


def _looks_like(response: HTTPResponse) -> str:
    kind = response.headers.get("Content-Type", "no content type").partition(";")[0]
    return f"{len(response.body)} bytes of {kind}"
