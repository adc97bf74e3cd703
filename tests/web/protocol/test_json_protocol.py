"""What jupyter_server makes of a message, made of its parts unread."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.jsonutil import json_default
from jupyter_client.session import Session

from kg2at_personality.web.protocol.json_protocol import json_frame

KEY = b"key"
PARENT = {"msg_id": "p", "msg_type": "execute_request", "session": "s", "version": "5.4"}
DATED = PARENT | {"date": "2026-01-01T00:00:00.123456Z"}


def parts_of(header: dict[str, Any], content: Any, parent: Any = PARENT, *buffers: bytes) -> list[bytes]:
    """Signature first, as a kernel sends it; text in `content` that is no JSON is sent as it is."""
    session = Session(key=KEY)
    packed = [content if isinstance(content, bytes) else session.pack(content)]
    rest = [session.pack(header), session.pack(parent), session.pack({"timestamp": "1"}), *packed]
    return [session.sign(rest), *rest, *buffers]


def stock(parts: list[bytes]) -> Any:
    message = Session(key=KEY).deserialize(parts)
    return json.loads(json.dumps(message | {"channel": "iopub"}, default=json_default))


def undated(message: Any, header: dict[str, Any]) -> Any:
    """Without the date that it got on its way if it had none, as a Toree's has not."""
    if "date" not in header:
        assert message["header"].pop("date").endswith("Z")
    return message


def header_of(**more: Any) -> dict[str, Any]:
    return {"msg_id": "m", "msg_type": "stream", "session": "s", "username": "u", "version": "5.0"} | more


TEXTS: list[Any] = ["", "hällo 🐍", '"quoted" \\ \n\t', "%b %s %", "\u2028", "x" * 100_000]
HEADERS = [header_of(), header_of(msg_id='a"b\\%b'), header_of(username="ü"), header_of(date=DATED["date"])]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("parent", [{}, PARENT, DATED])
def test_a_notebook_sees_the_same(header: dict[str, Any], parent: dict[str, Any]) -> None:
    for text in TEXTS:
        parts = parts_of(header, {"name": "stdout", "text": text}, parent)
        made = json_frame(Session(key=KEY), "iopub", parts)
        assert made is not None and undated(json.loads(made), header) == undated(stock(parts), header)


@given(
    st.dictionaries(
        st.text(), st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(codec="utf-8"))
    )
)
def test_it_sees_the_same_content_whatever_it_is(content: dict[str, Any]) -> None:
    parts = parts_of(HEADERS[-1], content)
    made = json_frame(Session(key=KEY), "iopub", parts)
    assert made is not None and json.loads(made) == stock(parts)


@pytest.mark.parametrize(
    "parts",
    [
        parts_of(header_of(), {}, PARENT, b"buffer"),
        parts_of(header_of(date="2026-01-01T00:00:00"), {}),
        parts_of(header_of(), {}, PARENT | {"date": "2026-01-01T00:00:00+01:00"}),
        parts_of(header_of(version="4.1"), {}),
        parts_of({"msg_id": "m", "msg_type": "stream"}, {}),
        parts_of(header_of(), b'{"text": "\xff"}'),
        parts_of(header_of(), b"no JSON"),
        parts_of(header_of(), b""),
        [b"", b"{}"],
    ],
)
def test_what_is_left_to_jupyter_server(parts: list[bytes]) -> None:
    assert json_frame(Session(key=KEY), "iopub", parts) is None


def test_a_wrong_signature_goes_no_further() -> None:
    parts = parts_of(header_of(), {})
    with pytest.raises(ValueError, match="signature"):
        json_frame(Session(key=b"other"), "iopub", parts)
    with pytest.raises(ValueError, match="signature"):
        json_frame(Session(key=KEY), "iopub", [b"", *parts[1:]])
    assert json_frame(Session(key=b""), "iopub", parts) is not None, "a kernel without a key signs nothing"
