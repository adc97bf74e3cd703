"""Which Host headers a gateway without a token serves.

A web page whose name its owner has just moved to 127.0.0.1 (DNS rebinding) is of the gateway's own origin to a browser;
only the Host header still tells its name. The rule is Jupyter Server's (jupyter_server.base.handlers,
JupyterHandler.check_host), which Kernel Gateway switches off (gatewayapp.py, `allow_remote_access=True`).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

#: A name or an IPv4 address, or an IPv6 address in brackets; then perhaps a port.
HOST = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::\d+)?")


def is_local(host: str, names: Iterable[str], address: str | None) -> bool:
    """Whether the header `host` holds one of `names`, a loopback address, or `address`.

    `address` is this machine's, at which the request arrived; None when that isn't known.
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
    """Names are the same in any case, and with a dot at their end."""
    return name.lower().removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address without its zone; the IPv4 one that a socket for both kinds tells as IPv6. None for a name."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found
