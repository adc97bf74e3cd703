"""Whatever a Toree shows can be saved: checked with nbformat, which refuses what it does not know."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kg2at_personality.web.toree_protocol import output_schema

PUBLISHED = sorted(output_schema.OUTPUT.keys() - {"execute_reply"})


def check(msg_type: str, content: dict[str, Any]) -> None:
    """As a notebook that runs the cell saves it: all of its content, but for `transient`."""
    saved = {name: value for name, value in content.items() if name != "transient"}
    saved["output_type"] = msg_type.replace("update_", "")
    cell = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "execution_count": None, "outputs": [saved]}
    nbformat.validate({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize(
    ("msg_type", "sent", "right"),
    [
        (
            "error",
            {"ename": "java.lang.Exception", "evalue": None, "traceback": ["java.lang.Exception", "  ... 40 elided"]},
            {"ename": "java.lang.Exception", "evalue": "", "traceback": ["java.lang.Exception", "  ... 40 elided"]},
        ),
        (
            "error",
            {"ename": None, "evalue": 5, "traceback": None},
            {"ename": "", "evalue": "5", "traceback": []},
        ),
        ("error", {"ename": "E", "evalue": "e", "traceback": [None, "x"], "more": 1}, "E e"),
        (
            "display_data",
            {"source": "user", "data": {"text/html": "<b>x</b>"}, "metadata": {}},
            {"data": {"text/html": "<b>x</b>"}, "metadata": {}},
        ),
        (
            "display_data",
            {"data": {"text/plain": None, "image/png": 5}, "metadata": None, "transient": {"display_id": "a"}},
            {"data": {"text/plain": "", "image/png": "5"}, "metadata": {}, "transient": {"display_id": "a"}},
        ),
        (
            "execute_result",
            {"execution_count": None, "data": {"application/json": {"a": [1]}, "text/plain": ["a\n", "b"]}},
            {
                "execution_count": None,
                "data": {"application/json": {"a": [1]}, "text/plain": ["a\n", "b"]},
                "metadata": {},
            },
        ),
        ("execute_result", {"execution_count": -1, "data": []}, {"execution_count": None, "data": {}, "metadata": {}}),
        ("stream", {"name": None, "text": None}, {"name": "stdout", "text": ""}),
        ("stream", {"name": "stderr", "text": "x", "source": "user"}, {"name": "stderr", "text": "x"}),
    ],
)
def test_each_kind_that_is_mended(msg_type: str, sent: dict[str, Any], right: Any) -> None:
    with pytest.raises(nbformat.ValidationError):
        check(msg_type, sent)
    valid = output_schema.valid(msg_type, sent)
    assert valid is not None
    check(msg_type, valid)
    assert valid == right or right == f"{valid.get('ename')} {valid.get('evalue')}"


def test_a_reply_tells_the_same_error() -> None:
    sent = {"status": "error", "execution_count": 6, "ename": "E", "evalue": None, "traceback": None}
    assert output_schema.valid("execute_reply", sent) == sent | {"evalue": "", "traceback": []}


@pytest.mark.parametrize(
    ("msg_type", "content"),
    [
        ("stream", {"name": "stdout", "text": "hi\n"}),
        ("display_data", {"data": {"text/html": "x"}, "metadata": {"a": 1}}),
        ("execute_result", {"execution_count": 1, "data": {"text/plain": "2"}, "metadata": {}}),
        ("error", {"ename": "E", "evalue": "/ by zero", "traceback": ["E: / by zero"]}),
        ("execute_reply", {"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}),
    ],
)
def test_what_is_valid_stays_as_it_is(msg_type: str, content: dict[str, Any]) -> None:
    assert output_schema.valid(msg_type, content) == content


@pytest.mark.parametrize("msg_type", ["status", "execute_input", "comm_msg", "clear_output", "kernel_info_reply"])
def test_what_is_no_output_is_left_alone(msg_type: str) -> None:
    assert output_schema.valid(msg_type, {"evalue": None}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = ("name", "text", "data", "metadata", "execution_count", "ename", "evalue", "traceback", "transient", "x")
TYPES = st.sampled_from(["text/plain", "application/json", "application/x+json", "application/json\n", "image/png"])
CONTENT = st.dictionaries(st.sampled_from(NAMES), JSON | st.dictionaries(TYPES, JSON, max_size=3))


@given(st.sampled_from(PUBLISHED), CONTENT | JSON)
def test_anything_becomes_valid(msg_type: str, content: Any) -> None:
    valid = output_schema.valid(msg_type, content)
    assert valid is not None
    check(msg_type, valid)
    assert output_schema.valid(msg_type, valid) == valid
