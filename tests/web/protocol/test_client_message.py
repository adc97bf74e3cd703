from __future__ import annotations

import json
from typing import Any

import pytest

from kg2at_personality.web.protocol import client_message
from kg2at_personality.web.protocol.client_message import MalformedMessage, parse, parse_header
from tests.fakes.messages import older, request, v1

CELL = request("execute_request", {"code": 'println("é 😀 \ud800")'}, session="s2")
OTHERS = [
    request("comm_msg", {"comm_id": "c", "data": {"a": [1.5, None]}}) | {"buffers": [b"\0\xff", b"", b"12345"]},
    request("shutdown_request", {"restart": False}, channel="control"),
    request("input_reply", {"value": "x"}, channel="stdin"),
]


@pytest.mark.parametrize("message", [CELL, *OTHERS])
@pytest.mark.parametrize("protocol", [older, v1])
def test_what_jupyters_clients_send(message: dict[str, Any], protocol: Any) -> None:
    parsed = parse(protocol(message), protocol is v1)
    assert parsed.channel == message["channel"] and parsed.buffers == message["buffers"]
    assert [json.loads(part) for part in parsed.parts] == [message[name] for name in client_message.PARTS]
    assert (parsed.header, parsed.content) == (message["header"], message["content"])


@pytest.mark.parametrize("size", [20_000, 2_000_000])
def test_only_the_header_of_one_that_is_too_large(size: int) -> None:
    large = CELL | {"content": {"code": '"header": {"msg_id": "no"}' * (size // 26)}}
    for parsed in (parse_header(older(large), False), parse_header(v1(large), True)):
        assert (parsed.channel, parsed.header) == ("shell", CELL["header"])


def test_parts_that_older_clients_leave_out() -> None:
    parsed = parse(json.dumps({"header": CELL["header"], "metadata": None}), False)
    assert parsed.channel == "shell" and parsed.parts[1:] == [b"{}"] * 3


def test_one_with_other_content_keeps_the_rest() -> None:
    changed = parse(v1(OTHERS[0]), True).changed(content={"code": "é"})
    assert changed.content == {"code": "é"} and changed.header == OTHERS[0]["header"]
    assert changed.buffers == OTHERS[0]["buffers"]


def test_one_in_ascii() -> None:
    raw = [HEADER.encode(), b"{}", '{"é": 1}'.encode(), '{"code": "😀"}'.encode()]
    plain = client_message.Message("shell", raw, [b"x"]).in_ascii()
    assert b"".join(plain.parts).isascii() and plain.buffers == []
    assert (plain.part("metadata"), plain.content) == ({"é": 1}, {"code": "😀"})


def numbers(*values: int, size: int = 8, order: Any = "little") -> bytes:
    return b"".join(value.to_bytes(size, order) for value in values)


HEADER = json.dumps(CELL["header"])


@pytest.mark.parametrize(
    "raw",
    [
        "text",
        b"",
        b"{",
        b"\xff" * 8,
        b"\xff" * 80,
        numbers(9) + b"x" * 8,
        numbers(1 << 40),
        numbers(0),
        numbers(2, 24, 24),
        numbers(6, 56, 61, 63, 65, 67, 69) + b"no_ch{}{}{}{}",
        numbers(6, 56, 61, 63, 65, 67, 69) + b"shell{}{}{}{}",  # no msg_id
        numbers(6, 8, 13, 15, 17, 19, 21) + b"shell{}{}{}{}",  # the channel among the offsets
        numbers(6, 56, 61, 63, 65, 67, 1000) + b"shell{}{}{}{}",
        numbers(6, 56, 61, 63, 57, 67, 69) + b"shell{}{}{}{}",
        numbers(6, 56, 61, 63, 65, 67, 69) + b"\xff\xfe\xfd__{}{}{}{}",
        v1(request("x", channel="iopub")),
        v1(request("x") | {"buffers": [b""] * (client_message.MAX_BUFFERS + 1)}),
        v1(request("x", padding="y" * client_message.MAX_HEADER)),
    ],
)
def test_malformed_messages_of_v1(raw: Any) -> None:
    with pytest.raises(MalformedMessage) as error:
        parse(raw, True)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "{",
        "[]",
        "5",
        "{}",
        "[" * 100_000,
        '{"header": ' + '{"a":' * 100_000,
        '{"header": {"msg_type": "execute_request"}}',
        '{"header": {"msg_type": 1, "msg_id": "1"}}',
        '{"header": {"msg_type": "x", "msg_id": "\\ud800"}}',
        '{"header": [], "content": {}}',
        f'{{"header": {HEADER}, "content": []}}'.replace("[]", "[1]"),
        f'{{"header": {HEADER}, "content": {{"a": NaN}}}}',
        f'{{"header": {HEADER}, "content": {{"a": {"9" * 5000}}}}}',
        f'{{"header": {HEADER}, "channel": ["shell"]}}',
        f'{{"header": {HEADER}, "channel": "iopub"}}',
        "\ud800",
        b"",
        b"x",
        b"\x7f\xff\xff\xffx",
        b"\xff\xff\xff\xffx",
        numbers(0, size=4, order="big"),
        numbers(1, 8, size=4, order="big") + b"\xff\xfe",
        numbers(1, 4, size=4, order="big") + b"{}",
        numbers(2, 12, 8, size=4, order="big") + b"{}",
        numbers(1, 500, size=4, order="big") + b"{}",
    ],
)
def test_malformed_messages_of_the_older_protocol(raw: Any) -> None:
    with pytest.raises(MalformedMessage) as error:
        parse(raw, False)
    assert "\n" not in str(error.value) and len(str(error.value)) < 200


@pytest.mark.parametrize("raw", ["", "{}", '{"header": {"msg_id": "1"}}', '{"header": ' + "[" * 9, b"\xff", b"{}"])
def test_malformed_headers(raw: Any) -> None:
    with pytest.raises(MalformedMessage):
        parse_header(raw, False).header  # noqa: B018


@pytest.mark.parametrize(
    "item", ["[],", '{"":0},', '"",', "1,", '"\\"",', '"[",'], ids=["arrays", "objects", "texts", "numbers", "q", "b"]
)
def test_what_would_take_many_times_its_size_is_not_parsed(item: str) -> None:
    many = item * (3_000_000 // len(item)) + "0"
    with pytest.raises(MalformedMessage, match="more than"):
        parse(f'{{"header": {HEADER}, "content": {{"data": [{many}]}}}}', False)


@pytest.mark.parametrize("code", ["[{,\n" * 500_000, '"[",' * 500_000, "\\[" * 500_000])
def test_a_large_cell_is_parsed_whatever_it_holds(code: str) -> None:
    assert parse(json.dumps({"header": CELL["header"], "content": {"code": code}}), False).content["code"] == code


def test_a_text_without_an_end_is_looked_through_once() -> None:
    with pytest.raises(MalformedMessage):
        parse("[" * 300_000 + '"' + '\\"' * 1_000_000, False)
