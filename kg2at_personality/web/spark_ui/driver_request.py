"""What of a client's request goes on to a driver's web UI: nothing by which it could act for its user elsewhere."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus, urlsplit

from tornado.httputil import HTTPHeaders, HTTPServerRequest

#: All paths of Spark's UI are made of these; what else a server might read as another path is none.
_PATH = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9_.~@:+,=-]+)*/?")
#: Sent on as they are. The client's Host, Authorization and Cookie are not among them.
_PASSED = ("Accept", "Accept-Language", "Content-Type")
#: The header by which Spark learns where its pages are seen (UIUtils.uiRoot, 2.4 to 4).
CONTEXT = "X-Forwarded-Context"


def driver_path(path: str, query: str) -> str | None:
    """Return the path to ask the driver for, with the query without the gateway's token; None for no path of Spark's.

    `path` is what comes after the kernel's `.../spark`, as the client has written it.
    """
    if not _PATH.fullmatch(path):
        return None
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) != "token"]
    return (path or "/") + ("?" + "&".join(kept) if kept else "")


def is_kill(path: str) -> bool:
    """Return whether a request for this path ends a job or a stage (`/jobs/job/kill`, `/stages/stage/kill`)."""
    return "kill" in path.lower().split("/")


def is_packed(path: str) -> bool:
    """Return whether an answer may be zipped: that of a page may not, as it may have to be rewritten."""
    return path.startswith(("/static/", "/api/"))


def driver_headers(headers: HTTPHeaders, path: str, root: str) -> dict[str, str]:
    """Return the headers of the request to the driver, whose pages are seen below `root`."""
    passed = {name: headers[name] for name in _PASSED if name in headers}
    zips = is_packed(path) and "gzip" in headers.get("Accept-Encoding", "")
    return passed | {CONTEXT: root, "Accept-Encoding": "gzip" if zips else "identity"}


def comes_from(request: HTTPServerRequest, root: str) -> bool:
    """Return whether a page below `root` of this gateway has sent the request.

    A browser adds what else lets its user in to requests of any page. The page of another kernel's UI is on the same
    origin, but not below `root`; a page may leave the Referer away, but not give another one.
    """
    site = request.headers.get("Sec-Fetch-Site")
    try:
        page = urlsplit(request.headers.get("Referer", ""))
    except ValueError:
        return False
    is_own = page.netloc == request.host if site is None else site == "same-origin"
    return is_own and page.path.startswith(root + "/")
