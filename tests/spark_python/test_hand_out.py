"""A real kernel that waits, without Spark; tests/e2e/test_hand_out.py has one with it."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark_python.hand_out import TARGET, change
from tests.fakes import small_pyspark
from tests.fakes.python_kernel import LIMIT, PythonKernel

#: As the gateway sends it.
CELL = "get_ipython().kernel.wait_for_user()"


class Waiting(PythonKernel):
    """One that the gateway has prepared."""

    def __enter__(self) -> Waiting:
        super().__enter__()
        cell = self.run(CELL, silent=True, store_history=False)
        assert (cell.status, cell.of("stream", "execute_result", "execute_input")) == ("ok", [])
        return self

    def take(self, changes: dict[str, tuple[str | None, str | None]], directory: str | None = None) -> dict[str, Any]:
        """Give it to a user; return the answer."""
        self.connection_file.with_suffix(".environment").write_text(json.dumps(changes))
        return self.open({"directory": directory or str(self.directory)})

    def open(self, data: dict[str, Any]) -> dict[str, Any]:
        """Open the comm; return the data of its end."""
        comm_id = uuid.uuid4().hex
        content = {"comm_id": comm_id, "target_name": TARGET, "data": data}
        self.client.shell_channel.send(self.client.session.msg("comm_open", content))
        while True:
            message = self.client.get_iopub_msg(timeout=LIMIT)
            if message["msg_type"] == "comm_close" and message["content"]["comm_id"] == comm_id:
                return dict(message["content"]["data"])

    def value(self, expression: str) -> Any:
        """Return what a cell's expression has come to; JSON can write it."""
        return json.loads(eval(self.run(f"import json; json.dumps({expression})").result))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    small_pyspark.make(tmp_path)
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path), "OLD": "1"}


@pytest.fixture
def waiting(tmp_path: Path, environ: dict[str, str]) -> Iterator[Waiting]:
    with Waiting(tmp_path, {"spark.my.own": "old"}, environ) as kernel:
        yield kernel


def test_it_takes_environment_and_directory(waiting: Waiting, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    new = {"KERNEL_MARK": "mïne = two", "LONG": "x\ny", "TZ": "Asia/Tokyo", "TERM": "dumb", "BYTE": "\udce4"}
    changes = {"OLD": ("1", None), **{name: (None, value) for name, value in new.items()}}
    assert waiting.take(changes, str(tmp_path / "theirs")) == {"status": "ok"}
    ours = {"sc", "spark", "sqlContext"}
    ipython = {"In", "Out", "exit", "quit", "open", "get_ipython", "json"}
    assert {name for name in waiting.value("dir()") if name[0] != "_"} == ours | ipython
    assert waiting.run("1 + 1").of("execute_result")[0]["execution_count"] == 2
    seen = waiting.value("dict(__import__('os').environ)")
    assert seen.items() >= (new.items() - {("TERM", "dumb")}) and "OLD" not in seen
    assert (seen["TERM"], "MPLBACKEND" in seen) == ("xterm-color", True), "as IPython sets them"
    child = "__import__('subprocess').check_output('printf %s \"$KERNEL_MARK$OLD\"; pwd', shell=True, text=True)"
    assert waiting.value(child) == f"mïne = two{tmp_path / 'theirs'}\n"
    assert waiting.value("[str(each) for each in _dh]") == [str(tmp_path / "theirs")]
    assert waiting.value("__import__('time').tzname[0]") == "JST"


def test_its_next_jvm_has_the_users_properties(waiting: Waiting) -> None:
    waiting.properties_file.write_text("spark.my.own=new\n")
    assert waiting.take({"KERNEL_ID": (waiting.kernel_id, "k")}) == {"status": "ok"}
    rules = "get_ipython().kernel.driver._hooks._rules"
    assert waiting.value(f"[{rules}.kernel_id, {rules}.admitted]") == ["k", {"spark.my.own": "new"}]


def test_it_serves_once(waiting: Waiting) -> None:
    assert waiting.take({})["status"] == "ok"
    assert waiting.take({}).get("status") != "ok"


@pytest.mark.parametrize("directory", [None, "/no/such/directory"])
def test_what_it_can_not_take_is_told_without_values(waiting: Waiting, directory: str | None) -> None:
    answer = waiting.take({}, directory) if directory else waiting.open({"directory": "/"})
    assert answer == {"status": "error", "error": "FileNotFoundError"}


def test_what_the_process_has_set_itself_stays() -> None:
    environ = {"A": "1", "TERM": "xterm-color", "MPLBACKEND": "inline", "GONE": "1"}
    change(environ, {"A": ("1", "2"), "TERM": ("vt", "dumb"), "MPLBACKEND": (None, "agg"), "GONE": ("1", None)})
    assert environ == {"A": "2", "TERM": "xterm-color", "MPLBACKEND": "agg"}
