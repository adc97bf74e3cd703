"""Python notebooks on a real cluster: what holds for a Toree holds for them. The tests build on each other."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e.properties import DEFAULTS, PROFILES, SECRET
from tests.e2e.python_notebook import ANSWER, JOB, PythonNotebook, gone
from tests.fakes.channels import HERE
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: What a notebook makes a session with that has a secret of its own.
OWN = f"{SECRET}-own"
SLEEP, LOOP = f"{HERE}; import time; time.sleep(600)", f"{HERE}\nwhile True: pass"
WAIT = "import os, time\n    while not os.path.exists('GATE'): time.sleep(0.05)"


@pytest.fixture(scope="module")
def gateway(
    cluster: StandaloneCluster, kernel_ports: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    options = (f"--KG2ATPersonality.kernel_ports={kernel_ports}", "--KernelRestarter.time_to_dead=0.5", "--debug")
    defaults = f"{defaults_on(cluster)}{DEFAULTS}"
    environ = {"KG2AT_PROFILES": str(PROFILES), "SPARK_SUBMIT_OPTS": f"-Dmy.submit.password={SECRET}-submit"}
    with Gateway(directory, *options, environ=environ, defaults=defaults) as running:
        yield running


@pytest.fixture(scope="module")
def notebook(gateway: Gateway, cluster: StandaloneCluster) -> Iterator[PythonNotebook]:
    env = {"KERNEL_MARK": "mine", "KERNEL_SPARK_CORES_MAX": "2", "KERNEL_SPARK_DRIVER_MEMORY": "700m"}
    made = PythonNotebook(gateway, cluster, env=env)
    yield made
    made.delete()


def lines_of_ps() -> str:
    return subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout


def application(notebook: PythonNotebook) -> str:
    return notebook.text("print(sc.applicationId)")


class TestAnswers:
    def test_its_kernelspecs_are_offered(self, gateway: Gateway) -> None:
        body = gateway.request("GET", "/api/kernelspecs").body
        names = {name: spec["spec"]["display_name"] for name, spec in body["kernelspecs"].items()}
        assert names["spark_python"] == "Apache Spark - Python"
        assert names["spark_python_broken"].startswith("Apache Spark - Python (broken")
        assert body["default"] == "apache_toree_scala"
        assert body["kernelspecs"]["spark_python"]["spec"]["language"] == "python"

    def test_the_first_cell_answers_without_spark(self, notebook: PythonNotebook) -> None:
        result = notebook.run("1 + 1")
        assert result.text == "2" and result.reply["execution_count"] == 1
        assert not notebook.has_jvm() and notebook.granted() == {}
        row = notebook.status()
        assert (row["cores_admitted"], row["cores_held"], row["app_id"]) == (2, 0, None)
        assert row["name"] == "spark_python"

    def test_a_job_takes_its_cores(self, notebook: PythonNotebook) -> None:
        assert ANSWER in notebook.text(JOB)
        assert notebook.granted() == {f"Apache Spark - Python {notebook.kernel_id}": 2}
        wait_until(lambda: notebook.status()["cores_held"] == 2, notebook.status)
        assert notebook.status()["app_id"] == application(notebook)

    def test_spark_sees_the_configuration_whole(self, notebook: PythonNotebook) -> None:
        assert f"{SECRET} with blanks" in notebook.text("sc.getConf().get('spark.my.password')")
        java = "sc._jvm.java.lang.System.getProperty"
        assert "visible" in notebook.text(f"{java}('my.plain')")
        assert f"{SECRET}-option" in notebook.text(f"{java}('my.password')")
        assert f"{SECRET}-submit" in notebook.text(f"{java}('my.submit.password')")
        megabytes = notebook.text("print(sc._jvm.java.lang.Runtime.getRuntime().maxMemory() // 2**20)")
        assert 600 < int(megabytes) <= 700

    def test_its_environment_and_its_ports(self, notebook: PythonNotebook, gateway: Gateway, kernel_ports: str) -> None:
        assert notebook.text("import os; print(os.environ['KERNEL_MARK'])") == "mine"
        assert notebook.text(f"print([key for key, value in os.environ.items() if {gateway.token!r} in value])") == "[]"
        info = json.loads((gateway.runtime / f"kernel-{notebook.kernel_id}.json").read_text())
        first, last = map(int, kernel_ports.split("-"))
        assert all(first <= value <= last for name, value in info.items() if name.endswith("_port"))

    @pytest.mark.parametrize(
        ("code", "kind", "shows"),
        [
            ("%%sql\nselect 40 + 2 as answer", "text/html", "42"),
            ("spark.range(3).selectExpr('id', 'id * 2 as twice')", "text/html", "twice"),
            ("%%html\n<b>bold</b>", "text/html", "<b>bold</b>"),
            ("import pandas; pandas.DataFrame({'of_pandas': [1]})", "text/html", "of_pandas"),
        ],
    )
    def test_tables_and_rich_output(self, notebook: PythonNotebook, code: str, kind: str, shows: str) -> None:
        result = notebook.run(code)
        data = [message["content"].get("data", {}) for message in result.messages]
        assert result.reply["status"] == "ok" and any(shows in each.get(kind, "") for each in data), result

    def test_a_plot(self, notebook: PythonNotebook) -> None:
        result = notebook.run("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);")
        [image] = [data for each in result.messages if (data := each["content"].get("data", {}).get("image/png"))]
        assert base64.b64decode(image).startswith(b"\x89PNG"), result

    def test_completion_and_help_are_of_the_real_objects(self, notebook: PythonNotebook) -> None:
        asked = {"code": "sc.paralleli", "cursor_pos": 12}
        assert "parallelize" in str(notebook.channels.ask("complete_request", asked)["matches"])
        asked = {"code": "spark.range", "cursor_pos": 11, "detail_level": 0}
        assert "DataFrame" in str(notebook.channels.ask("inspect_request", asked)["data"])

    def test_errors_are_the_notebooks(self, notebook: PythonNotebook) -> None:
        result = notebook.run("spark.sql('select one from no_such_table')")
        assert result.reply["status"] == "error" and "no_such_table" in result.reply["evalue"]


class TestInterrupts:
    """Each ends the cell and its jobs; kernel, variables and session live on."""

    JOB = f"sc.parallelize(range(2), 2).foreach(lambda _: ({HERE}, __import__('time').sleep(60)))"
    #: What a thread prints of its end may come below the next cell, so this one prints nothing.
    THREAD = f"""
import contextlib, threading
def behind():
    with contextlib.suppress(Exception):
        sc.parallelize([1], 1).map(lambda _: ({HERE}, __import__('time').sleep(60))).collect()
thread = threading.Thread(target=behind)
thread.start(); thread.join()"""
    PANDAS = f"""
from pyspark.sql.functions import pandas_udf
@pandas_udf("long")
def slow(ids):
    {HERE}; import time; time.sleep(60)
    return ids
spark.range(0, 4, 1, 2).select(slow("id")).collect()"""

    @pytest.mark.parametrize("code", [SLEEP, LOOP, JOB, THREAD, PANDAS], ids=["sleep", "loop", "job", "thread", "udf"])
    def test_one(self, notebook: PythonNotebook, code: str, tmp_path: Path) -> None:
        before = application(notebook)
        notebook.run("kept = 7")
        cell = notebook.begin(code, tmp_path / "here")
        began = time.monotonic()
        notebook.interrupt()
        result = notebook.finish(cell)
        assert time.monotonic() - began < 45 and result.reply["status"] == "error", result
        notebook.reports(lambda report: report.jobs == 0)
        assert notebook.text("kept") == "7" and application(notebook) == before
        assert ANSWER in notebook.text(JOB)
        assert notebook.text("list(spark.range(3).toPandas()['id'])") == "[0, 1, 2]"

    def test_again_and_again(self, notebook: PythonNotebook, tmp_path: Path) -> None:
        before = application(notebook)
        cell = notebook.begin(self.JOB, tmp_path / "here")
        for _ in range(3):
            notebook.interrupt()
        assert notebook.finish(cell).reply["status"] == "error"
        assert ANSWER in notebook.text(JOB) and application(notebook) == before


class TestReports:
    def test_a_job_and_its_end(self, notebook: PythonNotebook, tmp_path: Path) -> None:
        gate = tmp_path / "gate"
        code = f"def wait(_):\n    {HERE}; {WAIT}\nsc.parallelize(range(2), 2).foreach(wait)"
        cell = notebook.begin(code.replace("GATE", str(gate)), tmp_path / "here")
        report = notebook.reports(lambda report: (report.jobs, report.tasks, report.executors) == (1, 2, 1))
        assert report.is_working and report.app_id in notebook.status()["app_id"] and report.idle_since is None
        before = time.time()
        gate.touch()
        assert notebook.finish(cell).reply["status"] == "ok"
        ended = notebook.reports(lambda report: report.jobs == 0 and report.idle_since).idle_since
        assert ended is not None and before <= ended <= time.time()

    def test_a_streaming_query(self, notebook: PythonNotebook) -> None:
        notebook.text("query = spark.readStream.format('rate').load().writeStream.format('noop').start()")
        assert notebook.reports(lambda report: report.streams == 1).is_working
        notebook.text("query.stop()")
        notebook.reports(lambda report: not report.is_working)


class TestMessages:
    def test_each_of_300_cells_has_its_result_before_idle(self, notebook: PythonNotebook) -> None:
        channels, cells = notebook.channels, []
        for number in range(300):
            cells.append(channels.execute(f"print({number}); {number} * 2" if number % 3 else f"{number} * 2"))
        found: dict[str, list[str]] = {cell: [] for cell in cells}
        while not all("idle" in kinds and "execute_reply" in kinds for kinds in found.values()):
            message = channels.receive(60)
            kinds = found.get(message["parent_header"].get("msg_id"), [])
            assert "idle" not in kinds or message["channel"] != "iopub", (kinds, message)
            kinds.append(message["content"].get("execution_state", message["msg_type"]))
        for number, kinds in enumerate(found.values()):
            assert "execute_result" in kinds and ("stream" in kinds) == bool(number % 3), (number, kinds)

    def test_outputs_that_are_large_many_or_changed(self, notebook: PythonNotebook) -> None:
        assert len(notebook.text("'x' * 5_000_000")) > 5_000_000
        assert notebook.text("for n in range(5000): print(n)").endswith("4999")
        code = "from IPython.display import display\nshown = display('a', display_id=True)\nshown.update('b')"
        kinds = [message["msg_type"] for message in notebook.run(code).messages]
        assert kinds[-2:] == ["display_data", "update_display_data"]


class TestSessions:
    def test_stop_gives_the_cores_back_and_the_next_use_takes_them(self, notebook: PythonNotebook) -> None:
        before = application(notebook)
        notebook.text("spark.stop()")
        wait_until(lambda: notebook.granted() == {}, notebook.cluster.state)
        assert ANSWER in notebook.text(JOB) and application(notebook) != before

    def test_a_notebooks_own_secret_stays_its_own(self, notebook: PythonNotebook) -> None:
        notebook.text("spark.stop()")
        builder = f"SparkSession.builder.config('spark.my.own.secret', '{OWN}').appName('own')"
        notebook.text(f"from pyspark.sql import SparkSession\nspark = {builder}.getOrCreate(); sc = spark.sparkContext")
        assert OWN in notebook.text("sc.getConf().get('spark.my.own.secret')") and ANSWER in notebook.text(JOB)
        [name] = notebook.granted()
        assert name == f"own {notebook.kernel_id}"
        assert OWN not in lines_of_ps()

    def test_so_does_one_that_it_gives_to_a_new_jvm(self, notebook: PythonNotebook) -> None:
        notebook.restart()
        notebook.connect()
        code = f"SparkSession.builder.config('spark.my.own.secret', '{OWN}')"
        code += f".config('spark.driver.extraJavaOptions', '-Dmy.own={OWN}-option').getOrCreate()"
        notebook.text(f"from pyspark.sql import SparkSession\nspark = {code}; sc = spark.sparkContext")
        assert OWN in notebook.text("sc.getConf().get('spark.my.own.secret')") and ANSWER in notebook.text(JOB)
        for name, value in (("my.own", f"{OWN}-option"), ("my.plain", "visible"), ("file.encoding", "UTF-8")):
            assert value in notebook.text(f"sc._jvm.java.lang.System.getProperty('{name}')")
        assert OWN not in lines_of_ps() and len(notebook.granted()) == 1

    def test_the_end_of_its_jvm_is_told_and_the_next_use_makes_another(self, notebook: PythonNotebook) -> None:
        notebook.run("kept = 8")
        jvm, before = notebook.jvm(), notebook.process.pid
        jvm.kill()
        gone([jvm])
        told = notebook.run("kept")
        assert told.reply["status"] == "ok" and "8" in told.text
        second = notebook.run("sc.parallelize([1]).count()")
        assert notebook.process.pid == before
        assert ANSWER in notebook.text(JOB), second
        assert notebook.jvm() != jvm and len(notebook.granted()) == 1


class TestDeaths:
    """The gateway restarts the kernel, nothing of the last process is left, and its notebook is told why."""

    @pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), 9)", "os.kill(os.getpid(), 15)"])
    def test_by_its_own_cell(self, notebook: PythonNotebook, end: str) -> None:
        processes = notebook.processes()
        if end == "os._exit(3)":
            assert ANSWER in notebook.text(JOB)
            processes = notebook.processes()
            assert len(notebook.granted()) == 1
        result = notebook.run(f"import os; {end}")
        assert result.reply["ename"] == "KernelDied", result
        how = {"os._exit(3)": "(exit status 3)"}.get(end, "(ended by SIG")
        assert how in result.reply["evalue"] and how in notebook.gateway.log
        gone(processes)
        wait_until(lambda: notebook.granted() == {}, notebook.cluster.state)
        notebook.connect()
        assert notebook.text("1 + 1") == "2" and how in notebook.model()["reason"]
        assert "NameError" in str(notebook.run("kept").reply)

    def test_a_restart_during_a_job_and_another_one(self, notebook: PythonNotebook, tmp_path: Path) -> None:
        notebook.begin(TestInterrupts.JOB, tmp_path / "here")
        processes = notebook.processes()
        for _ in range(2):
            began = time.monotonic()
            notebook.restart()
            assert time.monotonic() - began < 45
        gone(processes)
        wait_until(lambda: notebook.granted() == {}, notebook.cluster.state)
        notebook.connect()
        assert ANSWER in notebook.text(JOB)
        assert list(notebook.granted().values()) == [2]

    def test_a_broken_profile_is_told_at_the_first_use(self, gateway: Gateway, cluster: StandaloneCluster) -> None:
        broken = PythonNotebook(gateway, cluster, name="spark_python_broken")
        result = broken.run("spark.range(3).count()", 60)
        assert result.reply["ename"] == "SparkStartError" and "/no/such.jar" in result.reply["evalue"], result
        assert SECRET not in json.dumps(result.reply) + result.text
        assert broken.text("1 + 1") == "2"
        broken.delete()

    @pytest.mark.parametrize(
        "code",
        [
            f"{HERE}; sum(range(10**14))",
            f"import signal\nfor each in (2, 15): signal.signal(each, signal.SIG_IGN)\n{SLEEP}",
        ],
        ids=["holds the GIL", "heeds no signal"],
    )
    def test_one_that_hangs_is_ended_by_one_click(
        self, gateway: Gateway, cluster: StandaloneCluster, code: str, tmp_path: Path
    ) -> None:
        hangs = PythonNotebook(gateway, cluster)
        hangs.begin(code, tmp_path / "here")
        began = time.monotonic()
        hangs.delete()
        assert time.monotonic() - began < 45

    def test_one_click_while_its_context_is_made(self, gateway: Gateway, cluster: StandaloneCluster) -> None:
        starts = PythonNotebook(gateway, cluster)
        starts.channels.execute(JOB)
        wait_until(starts.has_jvm, "its JVM")
        starts.delete()


def test_no_secret_shows_anywhere(gateway: Gateway, notebook: PythonNotebook) -> None:
    """Last of all, when everything above has been logged (with --debug)."""
    assert ANSWER in notebook.text(JOB)
    shown = lines_of_ps()
    assert notebook.kernel_id in shown and SECRET not in shown
    assert SECRET not in gateway.log
    for path in ("/api/kernels", "/api/kernelspecs", f"/api/kernels/{notebook.kernel_id}", "/kg2at/status"):
        assert SECRET not in json.dumps(gateway.request("GET", path).body)
    for name in notebook.files():
        [file] = gateway.runtime.rglob(name)
        assert file.stat().st_mode & 0o77 == 0, file
    assert SECRET not in (gateway.runtime / f"kernel-{notebook.kernel_id}.log").read_text()
    assert "Traceback" not in gateway.log


def test_nothing_is_left_of_one_that_is_killed_with_the_gateway(
    gateway: Gateway, cluster: StandaloneCluster, notebook: PythonNotebook
) -> None:
    """The next gateway removes the files of what it finds dead, and goes on with the other one."""
    doomed = PythonNotebook(gateway, cluster)
    assert ANSWER in doomed.text(JOB)
    before = application(notebook)
    processes = doomed.processes()
    gateway.kill()
    for process in processes:
        with contextlib.suppress(ProcessLookupError):  # the JVM of a Python that is killed ends by itself
            os.kill(process.pid, signal.SIGKILL)
    gateway.start()
    wait_until(lambda: doomed.files() == [] and doomed.granted() == {}, doomed.files)
    gone(processes)
    notebook.connect()
    assert ANSWER in notebook.text(JOB) and application(notebook) == before
