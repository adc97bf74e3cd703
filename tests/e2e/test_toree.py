"""A real Toree on local[2], through a real gateway that nohup started."""

from __future__ import annotations

import json
import subprocess
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import websocket

from tests.e2e.properties import SECRET
from tests.fakes.channels import HERE, Channels
from tests.fakes.gateway_process import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def kernel(gateway: Gateway) -> Iterator[str]:
    kernel_id = gateway.start_kernel(env={"KERNEL_MARK": "mine", "KERNEL_SPARK_DRIVER_MEMORY": "700m"})
    yield kernel_id
    assert gateway.delete(kernel_id) == 204


def lines_of_ps() -> str:
    return subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def test_the_first_cell_answers(notebook: Channels) -> None:
    result = notebook.run("1 + 1")
    assert result.reply["status"] == "ok" and result.text == "2"
    assert result.reply["execution_count"] == 1, "the gateway's own cells are not counted"


SLEEP, LOOP = f"{HERE}; Thread.sleep(600000)", f"{HERE}; while (true) {{}}"


def interrupt(gateway: Gateway, kernel: str, notebook: Channels, code: str, marker: Path) -> None:
    """Interrupt what would never end."""
    message = notebook.begin(code, marker)
    assert gateway.request("POST", f"/api/kernels/{kernel}/interrupt", {}).status == 204
    assert notebook.finish(message).reply["status"] == "error"
    assert "42" in notebook.run("println(6 * 7)").text


@pytest.mark.parametrize("code", [SLEEP, LOOP])
def test_a_cell_that_uses_no_spark_is_interrupted(
    gateway: Gateway, kernel: str, notebook: Channels, code: str, tmp_path: Path
) -> None:
    """Spark works afterwards: the tests that follow use it."""
    interrupt(gateway, kernel, notebook, code, tmp_path / "here")


def test_a_spark_job(notebook: Channels) -> None:
    assert "5050.0" in notebook.run("sc.parallelize(1 to 100).sum()").text
    assert "local[2]" in notebook.run("sc.master").text


def test_the_application_carries_the_kernel_id(notebook: Channels, kernel: str) -> None:
    assert f"Apache Toree - Scala {kernel}" in notebook.run("sc.appName").text


def test_spark_sees_the_configuration_whole(notebook: Channels) -> None:
    assert f"{SECRET} with blanks" in notebook.run('sc.getConf.get("spark.my.password")').text
    assert "visible" in notebook.run('System.getProperty("my.plain")').text
    assert f"{SECRET}-option" in notebook.run('System.getProperty("my.password")').text


def test_the_request_sizes_its_driver(notebook: Channels) -> None:
    megabytes = notebook.run("println(Runtime.getRuntime.maxMemory / 1024 / 1024)").text
    assert 600 < int(megabytes) <= 700


@pytest.mark.parametrize(
    ("code", "shows"),
    [
        ("%lsmagic", "%%dataframe"),
        ("%%sql\nselect 40 + 2 as answer", "42"),
        ("%%html\n<b>bold</b>", "<b>bold</b>"),
        ("%showtypes on", ""),
        ('println("printed")', "printed"),
        ('kernel.display.html("<i>rich</i>")', "<i>rich</i>"),
    ],
)
def test_magics_printing_and_rich_output(notebook: Channels, code: str, shows: str) -> None:
    result = notebook.run(code)
    assert result.reply["status"] == "ok" and shows in result.text, result


def test_dataframe_magic(notebook: Channels) -> None:
    notebook.run('val frame = spark.range(1).selectExpr("\'spark\' as name", "id")')
    assert "spark" in notebook.run("%%dataframe\nframe").text


def test_add_jar(notebook: Channels, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "marked.jar", "w") as jar:
        jar.writestr("marked.txt", "from the jar")
    assert notebook.run(f"%AddJar file://{tmp_path}/marked.jar").reply["status"] == "ok"


def test_completion(notebook: Channels) -> None:
    assert "parallelize" in notebook.ask("complete_request", {"code": "sc.paralleli", "cursor_pos": 12})["matches"]


def test_errors_are_the_notebooks(notebook: Channels) -> None:
    result = notebook.run('throw new Exception("on purpose")')
    assert result.reply["status"] == "error" and "on purpose" in json.dumps(result.reply)


def test_the_kernels_environment(notebook: Channels) -> None:
    show = 'println(sys.env.get("{}"))'
    assert "Some(mine)" in notebook.run(show.format("KERNEL_MARK")).text
    assert "Some" in notebook.run(show.format("HOME")).text
    assert "Some(127.0.0.1)" in notebook.run(show.format("SPARK_LOCAL_IP")).text
    assert "None" in notebook.run(show.format("KG_AUTH_TOKEN")).text
    assert "true" not in notebook.run('println(sys.env.values.exists(_.contains("s3cr3t-gateway-token")))').text


@pytest.mark.parametrize("code", [f"sc.parallelize(1 to 2, 2).foreach {{ _ => {HERE}; Thread.sleep(20000) }}", SLEEP])
def test_one_interrupted_again_and_again_lives_and_its_next_cell_goes_on(
    gateway: Gateway, kernel: str, notebook: Channels, code: str, tmp_path: Path
) -> None:
    """A loop would be stopped after 5 s; the next cell isn't. Spark's tasks end by themselves (`interruptOnCancel`)."""
    notebook.run("val survives = 7")
    message = notebook.begin(code, tmp_path / "here")
    began = time.monotonic()
    for _ in range(3):
        assert gateway.request("POST", f"/api/kernels/{kernel}/interrupt", {}).status == 204
    result = notebook.finish(message)
    assert time.monotonic() - began < 45 and result.reply["status"] == "error"
    result = notebook.run("Thread.sleep(6000); survives")  # longer than the 5 s
    assert result.reply["status"] == "ok" and "7" in result.text


@pytest.mark.parametrize("code", [f"{HERE}; while (true) println(1)", f"try {{ {SLEEP} }} finally {{ {LOOP} }}"])
def test_a_cell_of_one_that_uses_spark_is_interrupted(
    gateway: Gateway, kernel: str, notebook: Channels, code: str, tmp_path: Path
) -> None:
    interrupt(gateway, kernel, notebook, code, tmp_path / "here")
    assert "6.0" in notebook.run("sc.parallelize(1 to 3).sum").text


def test_its_ports_are_in_the_range(gateway: Gateway, kernel_ports: str, kernel: str) -> None:
    info = json.loads((gateway.runtime / f"kernel-{kernel}.json").read_text())
    first, last = map(int, kernel_ports.split("-"))
    assert all(first <= value <= last for name, value in info.items() if name.endswith("_port"))


def test_two_websockets_of_one_session_before_the_kernel_answers(gateway: Gateway) -> None:
    """What JupyterLab does: open, drop, open again within 60 ms."""
    kernel_id = gateway.start_kernel()
    session = uuid.uuid4().hex
    url = f"ws://127.0.0.1:{gateway.port}/api/kernels/{kernel_id}/channels?session_id={session}&token={gateway.token}"
    with pytest.raises(websocket.WebSocketTimeoutException):
        websocket.create_connection(url, timeout=0.06, suppress_origin=True)
    channels = gateway.connect(kernel_id, session)
    try:
        assert channels.run("40 + 2").text == "42"
        assert gateway.request("GET", f"/api/kernels/{kernel_id}").body["connections"] == 1
    finally:
        channels.close()
        assert gateway.delete(kernel_id) == 204


def test_sql_kernel_and_restart(gateway: Gateway) -> None:
    kernel_id = gateway.start_kernel("apache_toree_sql")
    channels = gateway.connect(kernel_id)
    try:
        assert channels.ask("kernel_info_request", {})["language_info"]["name"] == "sql"
        assert "42" in channels.run("select 40 + 2 as answer").text
        # Stock Toree never answers this, nor anything after it.
        assert "no_such_table" in channels.run("select one from no_such_table", timeout=60).text
        assert "%%dataframe" in channels.run("%lsmagic").text
        assert gateway.request("POST", f"/api/kernels/{kernel_id}/restart", {}).status == 200
        channels.close()
        channels = gateway.connect(kernel_id)
        assert "43" in channels.run("select 40 + 3 as answer").text
    finally:
        channels.close()
        assert gateway.delete(kernel_id) == 204


def test_a_kernel_that_dies_at_start_says_why_and_is_not_restarted(gateway: Gateway) -> None:
    kernel_id = gateway.start_kernel("apache_toree_scala_broken")
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        gateway.connect(kernel_id)
    assert refused.value.status_code == 503
    body = json.loads(refused.value.resp_body or b"{}")
    assert body["reason"] == "Kernel died at start" and "/no/such.jar" in body["message"], body
    model = gateway.request("GET", f"/api/kernels/{kernel_id}").body
    assert model["execution_state"] == "dead" and "/no/such.jar" in model["reason"]
    assert "/no/such.jar" in gateway.log and "restarting kernel" not in gateway.log
    assert SECRET not in model["reason"]
    assert list(gateway.runtime.glob(f"kernel-{kernel_id}*")) == []
    assert gateway.request("POST", f"/api/kernels/{kernel_id}/interrupt", {}).status == 409
    assert gateway.delete(kernel_id) == 204
    assert gateway.request("GET", f"/api/kernels/{kernel_id}").status == 404


def test_no_secret_shows_anywhere(gateway: Gateway, kernel: str, notebook: Channels) -> None:
    """Last of all, when everything above has been logged (with --debug)."""
    assert kernel in lines_of_ps()
    assert SECRET not in lines_of_ps()
    assert SECRET not in gateway.log
    for path in ("/api/kernels", "/api/kernelspecs", f"/api/kernels/{kernel}", "/api/sessions"):
        assert SECRET not in json.dumps(gateway.request("GET", path).body)
    for file in gateway.runtime.iterdir():
        assert file.stat().st_mode & 0o77 == 0, file
    assert SECRET not in (gateway.runtime / f"kernel-{kernel}.log").read_text()
