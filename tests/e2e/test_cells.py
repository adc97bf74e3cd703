"""What a notebook sends to a real Toree: SQL, incomplete requests, cells that say nothing or fail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.channels import Channels, Result
from tests.fakes.gateway_process import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", params=["apache_toree_sql", "apache_toree_scala"])
def kernel(request: Any, gateway: Gateway) -> Iterator[tuple[str, str]]:
    """Return a kernel's name and id."""
    kernel_id = gateway.start_kernel(request.param)
    yield request.param, kernel_id
    assert gateway.delete(kernel_id) == 204


@pytest.fixture(scope="module")
def notebook(gateway: Gateway, kernel: tuple[str, str]) -> Iterator[Channels]:
    channels = gateway.connect(kernel[1])
    yield channels
    channels.close()


class SQL:
    """Runs SQL, as each kind of notebook does it."""

    def __init__(self, notebook: Channels, name: str) -> None:
        self.notebook, self.magic = notebook, "" if name.endswith("sql") else "%%sql\n"

    def run(self, text: str) -> Result:
        result = self.notebook.run(self.magic + text)
        told = [message["content"]["code"] for message in result.messages if message["msg_type"] == "execute_input"]
        assert told == [self.magic + text], "the notebook is told of its own cell"
        result.messages = [message for message in result.messages if message["msg_type"] != "execute_input"]
        return result

    def value(self, text: str) -> str:
        """Return the only value that `text` gives, as Spark prints it."""
        result = self.run(text)
        assert result.reply["status"] == "ok", result
        rows = result.text.split("\n")
        assert len(rows) >= 6 and set(rows[4]) <= set("+-"), result.text
        return rows[3].strip("|").strip()


@pytest.fixture(scope="module")
def sql(notebook: Channels, kernel: tuple[str, str]) -> SQL:
    return SQL(notebook, kernel[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("select count(*) as n from range(10) -- ids\nwhere id < 3", "3"),
        ("select count(*) from (select 1 as a -- one\nunion all select 2)", "2"),
        ("select ascii(substr('a\nb', 2, 1))", "10"),
        ("select ascii(substr('a\r\nb', 2, 1))", "13"),
        (r"select concat('\\', '\'', '\"', 'é😀') as t", "\\'\"é😀"),
        ("select '$x ${1 + 1} $$' as t", "$x ${1 + 1} $$"),
        ('select length(\'"""\') as t', "3"),
        ("select '-- no comment' as t /* ; but this /* nested */ */ -- '", "-- no comment"),
        ("select ';' as t;", ";"),
        ("select length('" + "é" * 500_000 + "') as t", "500000"),
    ],
    ids=range(10),
)
def test_the_text_reaches_spark_as_it_is(sql: SQL, text: str, value: str) -> None:
    assert sql.value(text) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("select one from no_such_table", "no_such_table"),
        ('select """ as t', "pos 9"),
        ("selec 1", "selec"),
        ("select raise_error(concat('on ', 'purpose', id)) from range(3)", "on purpose"),
        ("select /* open", ""),
    ],
)
def test_a_failing_statement_is_an_error_in_one_block(sql: SQL, text: str, says: str) -> None:
    result = sql.run(text)
    assert result.reply["status"] == "error" and says in result.reply["evalue"], result
    assert [message["msg_type"] for message in result.messages] == ["error"]
    told = result.messages[0]["content"]["traceback"]
    assert "\tat " not in "".join(told) and 0 < len(told) < 10, told
    assert sql.value("select 1 as a") == "1"


def test_statements_run_in_order_until_one_fails(sql: SQL) -> None:
    result = sql.run(
        "create or replace temporary view v as select 5 as five;\nselect five from v; -- and\nselect 'a;b'"
    )
    assert result.reply["status"] == "ok"
    assert [result.text.index(said) for said in ("five", "a;b")] == sorted(map(result.text.index, ("five", "a;b")))
    result = sql.run("select 'first' as a; select * from nowhere; create or replace temporary view w as select 1 as a")
    assert result.reply["status"] == "error" and "first" in result.text and "nowhere" in result.reply["evalue"]
    assert sql.run("select * from w").reply["status"] == "error"


@pytest.mark.parametrize("text", ["", " \n", "-- nothing", "/* one */;;\n-- two"])
def test_sql_that_says_nothing(sql: SQL, text: str) -> None:
    result = sql.run(text)
    assert result.reply["status"] == "ok" and result.messages == []


def test_a_wide_table_is_shown_once(sql: SQL) -> None:
    result = sql.run(
        "select id, repeat('x', 19) a, repeat('y', 19) b, repeat('z', 19) c, repeat('w', 19) d from range(20)"
    )
    assert [message["msg_type"] for message in result.messages] == ["execute_result"] and len(result.text) > 1000


@pytest.mark.parametrize("code", ["", " \n\t", "// comment", "/* a /* nested */ */\n// c"])
def test_cells_that_say_nothing(kernel: tuple[str, str], notebook: Channels, code: str) -> None:
    if kernel[0].endswith("sql"):
        code = code.replace("//", "--")
    result = notebook.run(code)
    assert result.reply["status"] == "ok" and result.reply["execution_count"] > 0
    assert [message["content"] for message in result.messages if message["msg_type"] != "execute_input"] == []


INCOMPLETE = [
    ("complete_request", {"code": "sc."}),
    ("complete_request", {"code": "sc.", "cursor_pos": None}),
    ("complete_request", {"code": "sc.", "cursor_pos": "3"}),
    ("complete_request", {"code": "sc.", "cursor_pos": True}),
    ("complete_request", {"cursor_pos": 0}),
    ("is_complete_request", {}),
    ("is_complete_request", {"code": None}),
    ("inspect_request", {"code": "sc"}),
    ("execute_request", {}),
    ("execute_request", {"code": ["1"]}),
]


@pytest.mark.parametrize(("msg_type", "content"), INCOMPLETE)
def test_an_incomplete_request_ends_no_kernel(notebook: Channels, msg_type: str, content: dict[str, Any]) -> None:
    reply = notebook.finish(notebook.send(msg_type, content)).reply
    assert reply["status"] == "error" and "must be" in reply["evalue"]
    assert notebook.ask("kernel_info_request", {})["implementation"] == "spark"


@pytest.mark.parametrize("cursor_pos", [-1, 10**6, 10**12])
def test_a_cursor_beyond_the_code(notebook: Channels, cursor_pos: int) -> None:
    reply = notebook.ask("complete_request", {"code": "sc.", "cursor_pos": cursor_pos}, timeout=60)
    assert reply["status"] == "ok"


def test_what_toree_never_answers(notebook: Channels) -> None:
    for msg_type, says in (("inspect_request", "found"), ("history_request", "history"), ("debug_request", "evalue")):
        content = {"code": "sc", "cursor_pos": 1, "detail_level": 0, "hist_access_type": "tail", "n": 3}
        result = notebook.finish(notebook.send(msg_type, content))
        assert says in result.reply and not result.reply.get("found")


def test_a_request_with_the_least_fields_is_run(notebook: Channels, kernel: tuple[str, str]) -> None:
    code = "select 42" if kernel[0].endswith("sql") else "40 + 2"
    for content in ({"code": code}, {"code": code, "silent": None, "user_expressions": {"a": 1}, "allow_stdin": True}):
        result = notebook.finish(notebook.send("execute_request", content), timeout=60)
        assert result.reply["status"] == "ok" and "42" in result.text


def test_a_failing_cell_stops_those_behind_it(sql: SQL, notebook: Channels) -> None:
    cells = [notebook.execute(sql.magic + text) for text in ("select 1", "select x", "select 3", "-- nothing")]
    assert statuses(notebook, cells) == ["ok", "error", "aborted", "aborted"]
    cells = [notebook.send("execute_request", {"code": sql.magic + "select x", "stop_on_error": False})]
    cells.append(notebook.execute(sql.magic + "select 1"))
    assert statuses(notebook, cells) == ["error", "ok"]


def statuses(notebook: Channels, cells: list[str]) -> list[str]:
    """Return the status of each cell's reply."""
    found: dict[str, str] = {}
    while len(found) < len(cells):
        message = notebook.receive(60)
        if message["msg_type"] == "execute_reply":
            found[message["parent_header"]["msg_id"]] = message["content"]["status"]
    return [found[cell] for cell in cells]


def test_nothing_of_toree_is_left_in_the_cell_after_an_error(sql: SQL) -> None:
    assert sql.run("select x").reply["status"] == "error"
    assert "lastException" not in json.dumps(sql.run("select 1").messages)
    assert sql.run("select x").reply["status"] == "error"
    assert sql.run("-- nothing").messages == []


def test_the_kernel_was_never_restarted(gateway: Gateway, kernel: tuple[str, str], notebook: Channels) -> None:
    """Last of all."""
    assert notebook.run("-- done" if kernel[0].endswith("sql") else "// done").reply["status"] == "ok"
    assert f"{kernel[1]} restarted" not in gateway.log
    assert "Traceback" not in gateway.log
