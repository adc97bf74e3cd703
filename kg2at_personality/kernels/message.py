"""What a kernel sends, in parts (jupyter_client.session.Session.serialize)."""

from __future__ import annotations

import json
from typing import Any


def parsed(part: bytes) -> dict[str, Any]:
    """A part of a message; empty when it is no JSON object, so that whoever parses it next tells so."""
    try:
        value = json.loads(part)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
