"""The SQL notebook, made of a Scala Toree and its %%sql magic.

Toree 0.5.0's own SQL interpreter never answers a statement that fails, and nothing after it (seen: SqlService's
future fails, and OrderedSupport waits for it for ever). The magic tells the error, and the kernel goes on. So each
cell of an SQL notebook is sent as a cell of %%sql, and the kernel introduces itself as SQL.
"""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.session import DELIM, Session
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1

#: What Toree's SQL interpreter says of itself.
LANGUAGE_INFO = {
    "name": "sql",
    "version": "3",
    "file_extension": ".sql",
    "mimetype": "text/x-sql",
    "pygments_lexer": "sql",
    "codemirror_mode": "text/x-sql",
}
# Where a message's parts stand, after its identities and its signature (jupyter_client.session.Session.serialize).
HEADER, CONTENT = 0, 3


def to_kernel(message: Any, is_v1: bool) -> Any:
    """The websocket message `message`, with the code of an execute_request as a cell of %%sql.

    `is_v1`: whether it is of the protocol v1.kernel.websocket.jupyter.org. Raises ValueError, LookupError, TypeError
    or AttributeError for a malformed one.
    """
    if is_v1:
        channel, parts = deserialize_msg_from_ws_v1(message)
        if json.loads(parts[HEADER])["msg_type"] != "execute_request":
            return message
        content = json.loads(parts[CONTENT])
        parts[CONTENT] = json.dumps(content | {"code": _cell(content["code"])}).encode()
        return serialize_msg_to_ws_v1(parts, channel)
    if isinstance(message, bytes):
        # The older protocol's messages with buffers; no request to run a cell has any.
        return message
    body = json.loads(message)
    if body["header"]["msg_type"] != "execute_request":
        return message
    body["content"]["code"] = _cell(body["content"]["code"])
    return json.dumps(body)


def _cell(code: str) -> str:
    """Cells that begin with a magic, and empty ones, stay as they are."""
    return code if not code.strip() or code.lstrip().startswith("%") else f"%%sql\n{code}"


def from_kernel(session: Session, parts: list[Any]) -> list[Any]:
    """The ZeroMQ message of `parts` (signature first), with a kernel_info_reply that tells of SQL."""
    signature, *rest = parts
    if b'"kernel_info_reply"' in bytes(rest[HEADER]):
        content = json.loads(bytes(rest[CONTENT])) | {"language_info": LANGUAGE_INFO}
        rest[CONTENT] = json.dumps(content).encode()
        signature = session.sign(rest[: CONTENT + 1])
    return [DELIM, signature, *rest]
