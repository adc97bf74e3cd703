"""The description of the API: valid, of what is served and nothing else, and with each field of the status."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from openapi_spec_validator import OpenAPIV2SpecValidator, validate
from tornado.web import RequestHandler

from kg2at_personality.web import openapi
from tests.fakes.app import Client
from tests.web.route_table import TABLE

KERNEL_ID = "1-2-3-4-5"
PARAMETERS = {"kernel_id": KERNEL_ID, "session_id": KERNEL_ID, "kernel_name": "python3", "path": "logo-64x64.png"}
#: What anybody has who asks for what is there already: served, and no route of its own.
UNDESCRIBED = {"/nothing"}


def handler_of(gateway: Client, path: str) -> type[RequestHandler] | None:
    """The handler of a described path; None for the one that answers 404."""
    for pattern, handler, *_ in gateway.app.personality.create_request_handlers():
        if re.fullmatch(pattern, path.format(**PARAMETERS)):
            found: type[RequestHandler] = handler
            return None if handler.__name__ == "NotFoundHandler" else found
    return None


@pytest.mark.parametrize("base_url", ["/", "/a/b/"])
def test_it_is_valid(base_url: str) -> None:
    found = json.loads(openapi.as_json(base_url))
    validate(found, cls=OpenAPIV2SpecValidator)
    assert found == yaml.safe_load(openapi.as_yaml(base_url)) == openapi.document(base_url)
    assert found["basePath"] == (base_url.rstrip("/") or "/")


class TestServed:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"KernelGatewayApp": {"base_url": "/a"}}

    @pytest.mark.gen_test
    async def test_both_are_served(self, gateway: Client) -> None:
        found = json.loads((await gateway.ask("GET", "/a/api/swagger.json")).body)
        answer = await gateway.ask("GET", "/a/api/swagger.yaml")
        assert answer.headers["Content-Type"] == "text/x-yaml"
        assert found == yaml.safe_load(answer.body) and found["basePath"] == "/a"


def test_each_route_is_described_with_its_methods_and_no_other(gateway: Client) -> None:
    described = openapi.document("/")["paths"]
    handlers = {path: handler_of(gateway, path) for path in described}
    assert None not in handlers.values(), handlers
    for path, handler in handlers.items():
        methods = {name for name in described[path] if name != "parameters"}
        lacking = {name for name in methods if getattr(handler, name) is RequestHandler._unimplemented_method}  # type: ignore[attr-defined]
        assert not lacking, path
    # The table is held to the routes by tests/web/test_route_table.py.
    for path, told in TABLE.items():
        asked = path.format(kernel=KERNEL_ID, session=KERNEL_ID)
        # The path of a page of Spark's may have slashes in it.
        patterns = {each: re.escape(each).replace(r"\{path\}", ".+") for each in described}
        names = [each for each in described if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", patterns[each]), asked)]
        assert bool(names) is (path not in UNDESCRIBED), path
        assert not names or {name.lower() for name in told} - {"head"} <= {*described[names[0]]}, path


# What is in a status.


def check_described(value: Any, schema: dict[str, Any], where: str = "status") -> None:
    """Fail for a field that the description lacks."""
    definitions = openapi.document("/")["definitions"]
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    for each in value if isinstance(value, list) else ():
        check_described(each, schema["items"], f"{where}[]")
    if isinstance(value, dict) and "properties" in schema:
        assert value.keys() <= schema["properties"].keys(), where
        for name, each in value.items():
            check_described(each, schema["properties"][name], f"{where}.{name}")


@pytest.mark.gen_test(timeout=60)
async def test_each_field_of_a_status_and_a_kernel_is_described(gateway: Client) -> None:
    kernel_id = await gateway.start()
    definitions = openapi.document("/")["definitions"]
    check_described(json.loads((await gateway.ask("GET", "/kg2at/status")).body), definitions["Status"])
    model = json.loads((await gateway.ask("GET", f"/api/kernels/{kernel_id}")).body)
    check_described(model, definitions["Kernel"], "kernel")


@pytest.mark.gen_test
async def test_a_method_that_is_not_there_names_those_that_are(gateway: Client) -> None:
    answer = await gateway.ask("PUT", "/api/kernels", {})
    assert (answer.code, answer.headers["Allow"]) == (405, "GET, POST, OPTIONS")
