from __future__ import annotations

import json
from typing import Any

import pytest
from tornado.web import HTTPError

from kg2at_personality.web.body import json_object, kind, object_field, required_body, required_text, text_field


def refused(message: str) -> Any:
    return pytest.raises(HTTPError, match=f"HTTP 400: Bad Request \\({message}")


def test_bodies() -> None:
    assert json_object(b"") is None and json_object(b" \n") is None
    assert json_object(b'{"a": null}') == {"a": None} == required_body({"a": None})
    for raw in (b"{", b"\xff", b"[" * 100_000):
        with refused("The body is no JSON"):
            json_object(raw)
    with refused("No JSON data provided"):
        required_body(None)


@pytest.mark.parametrize(
    ("value", "called"),
    [([], "an array"), ("", "a string"), (True, "a boolean"), (1, "a number"), (1.5, "a number"), (None, "null")],
)
def test_what_is_no_object(value: Any, called: str) -> None:
    assert kind(value) == called
    with refused(f"The body must be a JSON object, not {called}."):
        json_object(json.dumps(value).encode())


def test_texts() -> None:
    body = {"a": "x", "null": None, "number": 5, "nul": "a\0b"}
    assert text_field(body, "a") == required_text(body, "a") == "x"
    assert text_field(body, "null") is None and text_field(body, "b") is None
    for read in (text_field, required_text):
        with refused("'number' must be a string, not a number."):
            read(body, "number")
        with refused("'nul' holds a NUL character."):
            read(body, "nul")
    for missing in ("b", "null"):
        with refused(f"Missing field in JSON data: {missing}"):
            required_text(body, missing)


def test_objects() -> None:
    assert (
        object_field({"a": {}}, "a") == {} and object_field({}, "a") is None and object_field({"a": None}, "a") is None
    )
    with refused("'a' must be an object, not an array."):
        object_field({"a": []}, "a")
