from __future__ import annotations

import json
from typing import Any

import pytest
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import deserialize_msg_from_ws_v1, serialize_msg_to_ws_v1

from kg2at_personality.web import sql
from kg2at_personality.web.channels import check_v1


def request(code: str, msg_type: str = "execute_request") -> dict[str, Any]:
    header = {"msg_id": "1", "msg_type": msg_type, "session": "s", "username": "", "version": "5.3"}
    return {"header": header, "parent_header": {}, "metadata": {}, "content": {"code": code}, "channel": "shell"}


def sent(message: dict[str, Any], is_v1: bool) -> dict[str, Any]:
    """The content that goes to the kernel."""
    if not is_v1:
        return dict(json.loads(sql.to_kernel(json.dumps(message), False))["content"])
    parts = [json.dumps(message[name]).encode() for name in ("header", "parent_header", "metadata", "content")]
    channel, parts = deserialize_msg_from_ws_v1(sql.to_kernel(serialize_msg_to_ws_v1(parts, "shell"), True))
    assert channel == "shell" and json.loads(parts[0]) == message["header"]
    return dict(json.loads(parts[3]))


@pytest.mark.parametrize("is_v1", [False, True])
@pytest.mark.parametrize(
    ("code", "cell"),
    [
        ("select 'é'", "%%sql\nselect 'é'"),
        ("%lsmagic", "%lsmagic"),
        ("  %%html\nx", "  %%html\nx"),
        ("", ""),
        (" \n", " \n"),
    ],
)
def test_statements_become_cells_of_the_sql_magic(is_v1: bool, code: str, cell: str) -> None:
    assert sent(request(code), is_v1) == {"code": cell}
    assert sent(request(code, "complete_request"), is_v1) == {"code": code}


@pytest.mark.parametrize("message", ["", "{", "[]", "{}", '{"header": {"msg_type": "execute_request"}}', "5"])
def test_a_malformed_message_raises_what_the_connection_expects(message: str) -> None:
    with pytest.raises((ValueError, LookupError, TypeError, AttributeError)):
        sql.to_kernel(message, False)


@pytest.mark.parametrize(
    "message", [b"", b"{", b"\xff" * 8, b"\xff" * 80, (9).to_bytes(8, "little") + b"x" * 8, "text"]
)
def test_a_v1_message_that_would_hang_the_gateway_is_refused(message: bytes | str) -> None:
    with pytest.raises(ValueError):
        check_v1(message)


def test_a_right_v1_message_passes() -> None:
    check_v1(serialize_msg_to_ws_v1([b"{}", b"{}", b"{}", b"{}"], "shell"))


def test_a_binary_message_of_the_older_protocol_is_left_alone() -> None:
    assert sql.to_kernel(b"\0\0\0\1", False) == b"\0\0\0\1"


@pytest.mark.parametrize(("msg_type", "name"), [("kernel_info_reply", "sql"), ("other_reply", "scala")])
def test_the_kernel_introduces_itself_as_sql_under_a_right_signature(msg_type: str, name: str) -> None:
    kernel, ours = Session(key=b"key"), Session(key=b"key")
    message = kernel.msg(msg_type, {"status": "ok", "language_info": {"name": "scala"}})
    parts = kernel.feed_identities(kernel.serialize(message))[1]
    passed = ours.feed_identities(sql.from_kernel(ours, parts))[1]
    content = ours.deserialize(passed)["content"]
    assert content["status"] == "ok" and content["language_info"]["name"] == name
