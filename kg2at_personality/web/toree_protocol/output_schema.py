"""Output as the notebook format has it (nbformat 4.5), made of what a Toree sends.

A notebook saves what it is sent. It is invalid with an output that lacks a field, has one too many, or has null where
text belongs: Toree sends `"evalue": null` for an exception without a message, and `source` beside displayed data.
Sources: Jupyter's message specification, nbformat/v4/nbformat.v4.5.schema.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

Content = Mapping[str, Any]


def valid(msg_type: str, content: Any) -> dict[str, Any] | None:
    """Return the content of a message as a notebook can save it; None for a type that is not in OUTPUT."""
    make = OUTPUT.get(msg_type)
    return None if make is None else make(content if isinstance(content, dict) else {})


def _stream(content: Content) -> dict[str, Any]:
    name = content.get("name")
    return {"name": name if name in ("stdout", "stderr") else "stdout", "text": _text(content.get("text"))}


def _display(content: Content) -> dict[str, Any]:
    transient = content.get("transient")
    shown = {"data": _bundle(content.get("data")), "metadata": _object(content.get("metadata"))}
    return shown if not isinstance(transient, dict) else shown | {"transient": transient}


def _result(content: Content) -> dict[str, Any]:
    return {"execution_count": _count(content.get("execution_count"))} | _display(content)


def _error(content: Content) -> dict[str, Any]:
    traceback = content.get("traceback")
    lines = traceback if isinstance(traceback, list) else [] if traceback is None else [traceback]
    named = {name: _text(content.get(name)) for name in ("ename", "evalue")}
    return named | {"traceback": [_text(line) for line in lines]}


def _reply(content: Content) -> dict[str, Any]:
    """Return the content of an execute_reply. It isn't saved, but clients show its error like a published one."""
    failed = content.get("status") == "error"
    return {**content, **(_error(content) if failed else {})}


#: The function that makes valid content, by type of message.
OUTPUT: dict[str, Callable[[Content], dict[str, Any]]] = {
    "stream": _stream,
    "display_data": _display,
    "update_display_data": _display,
    "execute_result": _result,
    "error": _error,
    "execute_reply": _reply,
}


def _text(value: Any) -> str:
    """Return "" for null, and JSON for what is no text."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _bundle(data: Any) -> dict[str, Any]:
    """Return data by media type. Those of JSON hold anything, all others text or lines of text."""
    return {kind: value if _is_json(kind) else _lines(value) for kind, value in _object(data).items()}


def _is_json(kind: str) -> bool:
    """Return whether a media type is one of JSON, by the schema's pattern: application/json, application/vnd.x+json."""
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _lines(value: Any) -> str | list[str]:
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return value
    return _text(value)
