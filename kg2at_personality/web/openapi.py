"""The description of the API that the gateway serves: Swagger 2.0, which clients of the stock gateway expect there."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DOCUMENT = Path(__file__).with_name("openapi.yaml")


def document(base_url: str) -> dict[str, Any]:
    """Return it for a gateway at `base_url`, which begins and ends with a slash."""
    return _document() | {"basePath": base_url.rstrip("/") or "/"}


@cache
def as_json(base_url: str) -> str:
    """Return it as JSON."""
    return json.dumps(document(base_url))


@cache
def as_yaml(base_url: str) -> str:
    """Return it as YAML."""
    return str(yaml.safe_dump(document(base_url), sort_keys=False))


@cache
def _document() -> dict[str, Any]:
    # Statuses are numbers in the file, as people write them, and strings in the description.
    return dict(json.loads(json.dumps(yaml.safe_load(DOCUMENT.read_text("utf-8")))))
