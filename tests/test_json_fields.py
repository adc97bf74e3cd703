"""Reading JSON field by field: what is taken, and what an error says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kg2at_personality.json_fields import FieldError, Fields, parse
from tests.cost import Calls


def refusal(read: Callable[[], Any]) -> str:
    with pytest.raises(FieldError) as caught:
        read()
    return str(caught.value)


# What is taken.


def test_each_kind_of_field_is_read() -> None:
    fields = Fields(
        {
            "text": "t",
            "whole": 3,
            "number": 0.5,
            "object": {"inner": 1},
            "rows": [{"n": 0}, {"n": 1}],
            "texts": ["a", "b"],
            "map": {"a": "b"},
            "wholes": [1, 2],
            "null": None,
        }
    )
    assert (fields.text("text"), fields.whole("whole"), fields.number("number", least=0, most=1)) == ("t", 3, 0.5)
    assert fields.nested("object").whole("inner") == 1
    assert [row.whole("n") for row in fields.rows("rows")] == [0, 1]
    assert (fields.texts("texts"), fields.text_map("map")) == (["a", "b"], {"a": "b"})
    assert fields.wholes("wholes", least=1, most=2) == [1, 2]
    assert (fields.or_none("null", fields.text), fields.or_none("missing", fields.text)) == (None, None)
    assert fields.or_none("text", fields.text, required=True) == "t"
    assert fields.one_of("whole", (1, 3)) == 3
    assert fields.one_of("text", ("s", "t")) == "t"


def test_what_is_missing_has_its_default() -> None:
    empty = Fields({})
    assert (empty.text("a", "x"), empty.whole("a", -1), list(empty.rows("a"))) == ("x", -1, [])


def test_text_is_parsed() -> None:
    assert parse('{"a": [1]}') == {"a": [1]}


# What is refused.


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda fields: fields.text("n"), "'n': expected text, got 1"),
        (lambda fields: fields.text("null"), "'null': expected text, got null"),
        (lambda fields: fields.text("none"), "'none' is missing"),
        (lambda fields: fields.whole("t"), f"'t': expected a whole number from 0 to {2**63 - 1}, got text"),
        (
            lambda fields: fields.whole("true"),
            f"'true': expected a whole number from 0 to {2**63 - 1}, got true or false",
        ),
        (lambda fields: fields.whole("half", 0, most=9), "'half': expected a whole number from 0 to 9, got 0.5"),
        (lambda fields: fields.whole("n", 0, least=2), f"'n': expected a whole number from 2 to {2**63 - 1}, got 1"),
        (lambda fields: fields.whole("none"), "'none' is missing"),
        (lambda fields: fields.whole("huge", 0), "got a number of more than 64 bits"),
        (lambda fields: fields.number("t", least=0, most=1), "'t': expected a number from 0 to 1, got text"),
        (lambda fields: fields.number("n", least=2, most=3), "'n': expected a number from 2 to 3, got 1"),
        (lambda fields: fields.number("true", least=0, most=3), "got true or false"),
        (lambda fields: fields.nested("list"), "list: expected an object, got an array"),
        (lambda fields: list(fields.rows("t")), "'t': expected an array, got text"),
        (lambda fields: list(fields.rows("list")), "list[0]: expected an object, got 7"),
        (lambda fields: fields.texts("list"), "'list': expected an array of texts, got 7"),
        (lambda fields: fields.texts("none"), "'none' is missing"),
        (lambda fields: fields.text_map("object"), "'object': expected an object of texts, got 1"),
        (
            lambda fields: fields.wholes("list", least=8, most=9),
            "'list': expected an array of whole numbers from 8 to 9",
        ),
        (
            lambda fields: fields.wholes("texts", least=8, most=9),
            "'texts': expected an array of whole numbers from 8 to 9",
        ),
        (lambda fields: fields.one_of("n", (2, 3)), "'n': expected one of 2, 3, got 1"),
        (lambda fields: fields.one_of("true", (1, 2)), "'true': expected one of 1, 2, got true or false"),
        (lambda fields: fields.only(["n"]), "there is no such field"),
        (lambda fields: fields.or_none("none", fields.text, required=True), "'none' is missing"),
        (lambda fields: fields.or_none("n", fields.text), "'n': expected text, got 1"),
    ],
)
def test_a_wrong_value_is_told_with_its_name(read: Callable[[Fields], Any], message: str) -> None:
    content = {"n": 1, "t": "text", "null": None, "true": True, "half": 0.5, "list": [7], "texts": ["a"]}
    fields = Fields(content | {"huge": 10**5000, "object": {"a": 1}})
    assert message in refusal(lambda: read(fields))


def test_an_error_says_the_path() -> None:
    whole = Fields({"admission": {"rows": [{}, {"cores": "secret"}]}})
    [_, row] = whole.nested("admission").rows("rows")
    assert row.path == "admission.rows[1]"
    said = refusal(lambda: row.whole("cores"))
    assert said.startswith("admission.rows[1]: 'cores': expected")
    assert "secret" not in said


def test_what_is_no_object_is_told() -> None:
    assert refusal(lambda: Fields([])) == "it: expected an object, got an array"


@pytest.mark.parametrize("text", ['{"a": NaN}', "[Infinity]", "-Infinity", "[" * 100_000])
def test_what_json_has_not_is_refused(text: str) -> None:
    assert refusal(lambda: parse(text))


def test_what_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError):
        parse("{")


# Cost.


def test_a_field_costs_a_few_calls() -> None:
    fields = Fields({"rows": [{"name": "n", "cores": 1}] * 1000})
    with Calls() as calls:
        for row in fields.rows("rows"):
            row.text("name")
            row.whole("cores")
    assert calls.count < 12_000
