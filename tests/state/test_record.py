from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.spark.cluster import AppIdentity, ExecutorRequest
from kg2at_personality.state.record import (
    RESTARTING,
    RUNNING,
    STARTING,
    STEPS,
    STOPPING,
    VERSION,
    WARM,
    Admission,
    Record,
    WaitLine,
)
from tests.fakes.examples import examples

ID = "0c5a3c5e-5c0e-4d5f-8a53-8b1f7d1c2e3f"
MINIMAL = Record(ID, "python3", STARTING, f"/run/kernel-{ID}.json", "2026-01-02T03:04:05.678901+00:00")
EXECUTORS = ExecutorRequest(cores_max=8, executor_cores=2, executor_memory_mib=1024, initial_executors=3)
APPLICATION = AppIdentity(f"Apache Toree - Scala {ID}", "kernels")
REQUEST = AdmissionRequest(ID, "apache_toree_scala", "anna", EXECUTORS, application=APPLICATION)
ADMISSION = Admission(REQUEST, ("http://a:8080", "http://b:8080"))
FULL = replace(
    MINIMAL,
    kernel_name="apache_toree_scala",
    step=RUNNING,
    env={"KERNEL_USERNAME": "anna", "KERNEL_MARK": 'ä "quoted"\n\U0001f600 \ud800'},
    cwd="/home/anna",
    interpreter="Scala",
    pid=4711,
    pgid=4711,
    started=1767323045.123456,
    launches=3,
    info={"status": "ok", "language_info": {"name": "scala", "version": None}, "help_links": []},
    is_set_up=False,
    ports=[41000, 41001, 41002, 41003, 41004],
    admission=ADMISSION,
    sessions=[{"session_id": "1-2-3-4-5", "path": "a.ipynb", "kernel_name": None, "kernel_id": ID, "type": "notebook"}],
    wait_line=WaitLine({"msg_id": "m1", "session": "s1", "username": "ä"}, "kg2at-m1", "s1", is_alone=True),
)
#: What FULL is as JSON.
CONTENT: dict[str, Any] = json.loads(FULL.dumps())
NAMES = [field.name for field in fields(Record)]
REQUIRED = ["kernel_id", "kernel_name", "step", "connection_file", "since", "admission", "version"]


def loads(content: Any) -> Record:
    return Record.loads(json.dumps(content))


def but(name: str, value: Any) -> dict[str, Any]:
    """CONTENT with another value."""
    return CONTENT | {name: value}


def in_admission(name: str, value: Any) -> dict[str, Any]:
    return but("admission", CONTENT["admission"] | {name: value})


def in_executors(name: str, value: Any) -> dict[str, Any]:
    return in_admission("executors", CONTENT["admission"]["executors"] | {name: value})


def refusal(text: str) -> str:
    """The sentence that says what is wrong with it."""
    with pytest.raises(ValueError) as caught:
        Record.loads(text)
    assert len(str(caught.value)) > 10, "that tells nobody what is wrong"
    return str(caught.value)


# What was written is read again.


@pytest.mark.parametrize(
    "record",
    [
        MINIMAL,
        FULL,
        replace(FULL, admission=None),
        replace(FULL, admission=Admission(replace(ADMISSION.request, executors=None), ())),
        replace(FULL, admission=Admission(replace(ADMISSION.request, user=""), ("http://a:8080",))),
        replace(
            FULL,
            admission=Admission(
                AdmissionRequest(ID, FULL.kernel_name, "anna", ExecutorRequest(2**31 - 1, None, 1)), ("http://a:8080",)
            ),
        ),
        replace(FULL, started=1767323045),
        replace(FULL, env={}, info={}, ports=None, sessions=[], cwd="", wait_line=None),
    ],
    ids=["minimal", "full", "free", "no executors", "nobody", "all cores", "whole seconds", "empty"],
)
def test_what_was_written_is_read_again(record: Record) -> None:
    assert Record.loads(record.dumps()) == record


def test_a_record_of_before_applications_had_names_is_read() -> None:
    admission = {name: value for name, value in CONTENT["admission"].items() if name != "application"}
    read = loads(but("admission", admission) | {"version": 1})
    assert read == replace(FULL, admission=replace(ADMISSION, request=replace(REQUEST, application=None)))
    assert Record.loads(read.dumps()) == read


def test_a_record_of_before_waits_were_told_is_read() -> None:
    content = {name: value for name, value in CONTENT.items() if name != "wait_line"}
    assert loads(content | {"version": 2}) == replace(FULL, wait_line=None)


def test_a_record_of_before_kernels_waited_is_read() -> None:
    assert loads(CONTENT | {"version": 3}) == FULL


@pytest.mark.parametrize("step", STEPS)
def test_each_step_is_read_again(step: str) -> None:
    assert Record.loads(replace(FULL, step=step).dumps()).step == step
    assert {*STEPS} == {STARTING, RUNNING, RESTARTING, STOPPING, WARM}


def test_it_says_of_which_version_it_is_and_nothing_but_its_fields_else() -> None:
    assert json.loads(MINIMAL.dumps())["version"] == VERSION
    assert {*json.loads(MINIMAL.dumps())} == {*NAMES, "version"}


def test_it_is_text_that_any_encoding_takes() -> None:
    assert FULL.dumps().isascii()


def test_how_long_a_client_was_patient_is_forgotten() -> None:
    patient = replace(FULL, admission=replace(ADMISSION, request=replace(ADMISSION.request, patience=5.0)))
    assert Record.loads(patient.dumps()) == FULL


def test_the_admission_is_of_the_kernel_of_the_record() -> None:
    admission = loads(CONTENT).admission
    assert admission is not None and admission == ADMISSION
    assert (admission.request.kernel_id, admission.request.kernel_name) == (ID, "apache_toree_scala")
    assert isinstance(admission.request.executors, ExecutorRequest) and isinstance(admission.urls, tuple)


# What is broken is refused with a sentence.


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "\0" * 300,
        "{",
        "}",
        FULL.dumps()[:-1],
        FULL.dumps()[: len(FULL.dumps()) // 2],
        FULL.dumps() + "x",
        FULL.dumps() * 2,
        FULL.dumps().replace('"pid": 4711', '"pid": ' + "9" * 5000),
        "[" * 100_000,
        '{"a": ' * 100_000,
        FULL.dumps().replace('"pid": 4711', '"pid": ' + "[" * 900 + "]" * 900),
    ],
    ids=lambda text: repr(text[:15]),
)
def test_what_is_no_json(text: str) -> None:
    refusal(text)


@pytest.mark.parametrize("content", [None, True, 0, 1.5, "", "version", [], ["version"], [CONTENT], {}, {"version": 1}])
def test_what_is_no_record(content: Any) -> None:
    refusal(json.dumps(content))


@pytest.mark.parametrize("depth", [*range(880, 1000, 5), 100_000])
def test_what_is_nested_too_deep_to_be_shown(depth: int) -> None:
    """Wherever Python's patience ends: while it is read, or while its refusal is worded."""
    refusal(json.dumps(but("pid", "@")).replace('"@"', "[" * depth + "]" * depth))


@pytest.mark.parametrize("name", REQUIRED)
def test_what_lacks_something(name: str) -> None:
    refusal(json.dumps({each: value for each, value in CONTENT.items() if each != name}))


@pytest.mark.parametrize("name", sorted({*NAMES} - {*REQUIRED}))
def test_what_lacks_something_that_has_a_default(name: str) -> None:
    content = {each: value for each, value in CONTENT.items() if each != name}
    assert loads(content) == replace(FULL, **{name: getattr(MINIMAL, name)})


@pytest.mark.parametrize("name", ["more", "self", "cls", "", "Version", "check"])
def test_what_has_too_much(name: str) -> None:
    refusal(json.dumps(but(name, 1)))


@pytest.mark.parametrize("version", [None, 0, VERSION + 1, -1, "1", [1], {}, False])
def test_another_version(version: Any) -> None:
    assert "version" in refusal(json.dumps(but("version", version)))


@pytest.mark.parametrize("step", ["", "Running", "running ", "dead", "idle", "stopped"])
def test_an_unknown_step(step: str) -> None:
    assert "step" in refusal(json.dumps(but("step", step)))


TEXT = ("kernel_id", "kernel_name", "step", "connection_file", "since", "interpreter", "owner")
WRONG: dict[str, list[Any]] = {
    **{name: [None, 1, 1.5, True, [], {}] for name in TEXT},
    **{name: ["4711", 1.5, True, False, [], {}] for name in ("pid", "pgid")},
    "launches": [None, "1", 1.5, True, [], {}],
    "started": ["1767323045.1", True, [], {}],
    "cwd": [1, True, [], {}],
    "env": ["", 1, True, []],
    "info": ["", 1, True, []],
    "is_set_up": ["", 1, None, []],
    "ports": ["", 1, True, {}],
    "sessions": [None, "", 1, True, {}],
    "admission": ["", 1, True, [], [1], {}, {"user": ""}],
    "wait_line": ["", 1, True, [], [1], {}, {"cell": {}}, CONTENT["wait_line"] | {"is_alone": 1}],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_a_field_of_another_type(name: str, value: Any) -> None:
    says = refusal(json.dumps(but(name, value)))
    assert name in says or name == "admission", says


def test_the_table_of_other_types_has_all_fields() -> None:
    assert {*WRONG} == {*NAMES}


@pytest.mark.parametrize(
    "content",
    [
        but("env", {"KERNEL_USERNAME": 5}),
        but("env", {"KERNEL_USERNAME": None}),
        but("ports", ["a", "b", "c", "d", "e"]),
        but("ports", [41000.5] * 5),
        but("sessions", [5]),
        but("sessions", [{}]),
        but("since", "yesterday"),
        but("since", ""),
        but("started", 10**400),
        in_admission("executors", True),
        in_admission("executors", 5),
        in_admission("executors", "all"),
        in_admission("urls", None),
        in_admission("urls", 5),
        in_admission("urls", "http://a:8080"),
        in_executors("more", 1),
        in_executors("cores_max", None),
        in_executors("cores_max", "8"),
        in_executors("cores_max", True),
        in_executors("executor_cores", "2"),
        in_executors("executor_memory_mib", []),
        in_executors("initial_executors", "3"),
        but("wait_line", CONTENT["wait_line"] | {"cell": {"msg_id": 1}}),
        but("wait_line", CONTENT["wait_line"] | {"session": None}),
        but("wait_line", CONTENT["wait_line"] | {"more": 1}),
    ],
    ids=lambda content: next(f"{name} {value!r}"[:75] for name, value in content.items() if value != CONTENT[name]),
)
def test_something_inside_of_another_type(content: dict[str, Any]) -> None:
    """Such a record would go wrong later, in the midst of the adoption, or at the next restart or session."""
    refusal(json.dumps(content))


# Whatever it is.

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=12,
)


def check_anything(text: str) -> None:
    """A record that is written and read again as it is, or a ValueError."""
    try:
        record = Record.loads(text)
    except ValueError:
        return
    assert isinstance(record, Record)
    assert Record.loads(record.dumps()) == record


@given(JSON)
@settings(max_examples=examples(150))
def test_any_json_is_a_record_or_a_value_error(content: Any) -> None:
    check_anything(json.dumps(content))


@given(st.dictionaries(st.sampled_from([*NAMES, "version"]), JSON, min_size=1, max_size=3))
@example({"version": 1})
@example({"admission": {"user": 5, "executors": None, "urls": [5]}})
@example({"admission": {"user": 5, "executors": {}, "urls": {"a": 1}}})
@settings(max_examples=examples(300))
def test_a_record_with_any_values_is_a_record_or_a_value_error(values: dict[str, Any]) -> None:
    check_anything(json.dumps(CONTENT | values))


@given(st.dictionaries(st.sampled_from(["user", "executors", "urls"]), JSON, min_size=1), st.booleans())
@settings(max_examples=examples(200))
def test_an_admission_of_any_values_is_a_record_or_a_value_error(values: dict[str, Any], in_it: bool) -> None:
    inside = CONTENT["admission"] | ({"executors": CONTENT["admission"]["executors"] | values} if in_it else values)
    check_anything(json.dumps(but("admission", inside)))


@given(st.integers(0, len(FULL.dumps())), st.integers(0, len(FULL.dumps())), st.text(max_size=5))
@settings(max_examples=examples(300))
def test_a_text_with_a_hole_is_a_record_or_a_value_error(first: int, last: int, patch: str) -> None:
    text = FULL.dumps()
    check_anything(text[:first] + patch + text[max(first, last) :])


@given(st.text(max_size=50))
@settings(max_examples=examples(100))
def test_any_text_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        Record.loads(text)
