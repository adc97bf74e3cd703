"""What of a driver's answer goes back to the client: its links lead through the gateway, its scripts are held back."""

from __future__ import annotations

import html
import re
from urllib.parse import quote, urlsplit

from tornado.httpclient import HTTPResponse

#: Sent back as they are. Set-Cookie and whatever is about the connection are not among them.
_PASSED = ("Content-Type", "Content-Encoding", "Content-Disposition", "Vary")
_BOTH = "; base-uri 'none'; object-src 'none'; worker-src 'none'; frame-src 'none'; frame-ancestors 'none'"
_LOOKS = "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:"
#: For the user whose kernel it is. Spark's pages have scripts in them, and make some (`new Function` of its templates).
OWN_POLICY = (
    f"default-src 'none'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; {_LOOKS}; connect-src 'self'; "
    f"form-action 'self'{_BOTH}"
)
#: For an administrator who looks at another's kernel: the driver sends what its user wants, and a script would have the
#: administrator's rights at the gateway. Without allow-same-origin the browser would not send its cookie for styles.
FOREIGN_POLICY = f"sandbox allow-same-origin; default-src 'none'; {_LOOKS}; form-action 'none'{_BOTH}"
NOTICE = (
    '<p style="margin:0;padding:.5em 1em;background:#fff3cd;color:#000">This is the Spark UI of another user\'s '
    "kernel, shown without scripts. Timelines, graphs, the list of executors and the tasks of a stage are missing; its "
    "REST API has them.</p>"
)
#: What stands in a query as it is.
QUERY = "/?:@!$&'()*+,;=%"
#: Where Spark's pages tell their scripts what all links begin with (UIUtils.commonHeaderNodes, 2.4 to 4).
_ROOT = re.compile(rb"setUIRoot\('([^'<>]{1,500})'\)")
_BODY = re.compile(rb"<body[^<>]{0,500}>")


def answer_headers(response: HTTPResponse, is_own: bool) -> dict[str, str]:
    """Return the headers of the answer to the client."""
    passed = {name: response.headers[name] for name in _PASSED if _is_plain(response.headers.get(name, ""))}
    return {
        "Content-Type": "text/plain",
        **passed,
        "Content-Security-Policy": OWN_POLICY if is_own else FOREIGN_POLICY,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cache-Control": "private, no-cache",
    }


def _is_plain(value: str) -> bool:
    """Return whether it is the value of a header that tornado takes."""
    return bool(value) and value.isascii() and value.isprintable()


def location(target: str, root: str, app_id: str) -> str:
    """Return where a redirect of the driver's leads to, at the gateway: whatever host it names, a path below `root`.

    `app_id` is for a driver that takes itself to be seen through its master (spark.ui.reverseProxy).
    """
    try:
        parts = urlsplit(target)
    except ValueError:
        return f"{root}/"
    path = parts.path.rpartition(f"/proxy/{app_id}/")[2] if app_id else parts.path
    path = path.removeprefix(root).lstrip("/")
    return f"{root}/{quote(path)}" + (f"?{quote(parts.query, safe=QUERY)}" if parts.query else "")


def is_page(response: HTTPResponse) -> bool:
    """Return whether the answer is HTML that can be rewritten."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    return kind == "text/html" and "Content-Encoding" not in response.headers


def page(body: bytes, root: str, is_own: bool) -> bytes:
    """Return a page of the driver's with all links below `root`.

    Spark writes them so, unless its configuration says where it is seen (spark.ui.reverseProxy, spark.ui.proxyBase,
    APPLICATION_WEB_PROXY_BASE).
    """
    told = _ROOT.search(body)
    if told is not None and told[1] != root.encode():
        body = body.replace(told[0], f"setUIRoot('{html.escape(root)}')".encode())
        body = body.replace(told[1] + b"/", f"{root}/".encode())
    if not is_own:
        body = _BODY.sub(lambda match: match[0] + NOTICE.encode(), body, count=1)
    return body
