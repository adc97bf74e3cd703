"""The JSON body of a request, and the fields of it that a handler wants. What is wrong with it is a 400."""

from __future__ import annotations

import json
from typing import Any

from tornado import web

#: What JSON calls the types that `json.loads` makes, each with its article.
KINDS = {
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    dict: "an object",
}


def json_object(raw: bytes) -> dict[str, Any] | None:
    """Return the object that the body `raw` holds; None for an empty body. Raises 400 for anything else."""
    if not raw.strip():
        return None
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise web.HTTPError(400, f"The body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPError(400, f"The body must be a JSON object, not {kind(body)}.")
    return body


def required_body(body: dict[str, Any] | None) -> dict[str, Any]:
    """Return `body`. Raises 400 for an empty one."""
    if body is None:
        raise web.HTTPError(400, "No JSON data provided")
    return body


def kind(value: Any) -> str:
    """Return what JSON calls the type of a value, with its article."""
    return KINDS.get(type(value), "null")


def text_field(body: dict[str, Any], name: str) -> str | None:
    """Return the string `body[name]`, None when it is missing or null. Raises 400 for another type or a NUL in it."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str):
        raise web.HTTPError(400, f"{name!r} must be a string, not {kind(value)}.")
    if "\0" in value:
        raise web.HTTPError(400, f"{name!r} holds a NUL character.")
    return value


def required_text(body: dict[str, Any], name: str) -> str:
    """Return the string `body[name]`. Raises 400 when it is missing, null, of another type or holds a NUL."""
    value = text_field(body, name)
    if value is None:
        raise web.HTTPError(400, f"Missing field in JSON data: {name}")
    return value


def object_field(body: dict[str, Any], name: str) -> dict[str, Any] | None:
    """Return the object `body[name]`, None when it is missing or null. Raises 400 for another type."""
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise web.HTTPError(400, f"{name!r} must be an object, not {kind(value)}.")
    return value
