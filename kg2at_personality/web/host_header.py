"""Which Host headers a gateway without a token serves.

By DNS rebinding (its name suddenly leads to 127.0.0.1) a web page gets the gateway's own origin in a browser; only the
Host header still holds the page's name. The rule is Jupyter Server's (jupyter_server.base.handlers,
JupyterHandler.check_host), which Kernel Gateway switches off (gatewayapp.py, `allow_remote_access=True`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

#: A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d+)?")


def is_local(host: str, names: Iterable[str], address: str | None) -> bool:
    """Return whether the header `host` holds one of `names`, a loopback address, or `address`.

    `address` is this machine's, at which the request arrived; None when it isn't known.
    """
    match = HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1] or match[2]
    found = _address(name or "")
    if found is None:
        return bool(name) and match[1] is None and _bare(name) in map(_bare, names)
    return found.is_loopback or found in map(_address, (*names, address or ""))


def _bare(name: str) -> str:
    """Return a name in lower case without the dot at its end, which mean nothing in DNS."""
    return name.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address without its zone; IPv4 for one that is mapped to IPv6. None for a name."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
