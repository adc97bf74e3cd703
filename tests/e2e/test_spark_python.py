"""A real Python kernel with Spark on a real cluster, without a gateway. The tests go on with one notebook."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality.spark.driver_report import parsed
from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.python_kernel import Cell, PythonKernel
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
SECRET = "s3cr3t-of-the-user"
#: Seconds in which something is at once on a busy machine; what it does not wait for would take a minute.
SOON = 30
#: Tells where the workers' Python runs it, and waits until somebody makes the file GATE.
JOB = """
import pathlib, time
def wait(x):
    pathlib.Path("GATE.here").touch()
    while not pathlib.Path("GATE").exists():
        time.sleep(0.05)
    return x
"""


def properties(cluster: StandaloneCluster) -> dict[str, str]:
    return {
        "spark.master": cluster.master_url,
        "spark.app.name": "notebook",
        "spark.cores.max": "2",
        "spark.executor.cores": "1",
        "spark.executor.memory": "512m",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }


@pytest.fixture(scope="module")
def environ(installation: Installation) -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    homes = {"SPARK_HOME": str(installation.spark.home), "JAVA_HOME": str(installation.java.home)}
    return {**kept, **homes, "PYSPARK_PYTHON": sys.executable}


@pytest.fixture(scope="module")
def kernel(
    cluster: StandaloneCluster, environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PythonKernel]:
    with PythonKernel(tmp_path_factory.mktemp("kernel"), properties(cluster), environ) as running:
        yield running


def ok(kernel: PythonKernel, code: str) -> Cell:
    cell = kernel.run(code)
    assert cell.status == "ok", cell.error + cell.stream
    return cell


def begin_job(kernel: PythonKernel, gate: Path, cell: str) -> str:
    """Begin a cell that calls `wait` in tasks, and return its id when one of them runs."""
    cell_id = kernel.begin(JOB.replace("GATE", str(gate)) + cell)
    wait_until(gate.with_name(gate.name + ".here").exists, "the task", 120)
    return cell_id


def is_interrupted(kernel: PythonKernel, cell_id: str) -> bool:
    """Whether the cell ends soon, by KeyboardInterrupt."""
    began = time.monotonic()
    cell = kernel.finish(cell_id)
    assert "ERROR" not in cell.stream
    return "KeyboardInterrupt" in cell.error and time.monotonic() - began < SOON


def only_application(cluster: StandaloneCluster) -> dict[str, Any]:
    """Return the one application at the master, which hears of a context's end a moment after its driver."""
    return dict(wait_until(lambda: len(apps := cluster.state()["activeapps"]) == 1 and apps, cluster.state)[0])


# Before the first use. The tests of this file run in this order, on one JVM as far as they can.


def test_nothing_starts_before_it_is_used(kernel: PythonKernel) -> None:
    assert ok(kernel, "1 + 1").result == "2"
    assert not kernel.report["app_id"] and parsed(kernel.report_file.read_bytes()).executors == 0
    matches = kernel.ask("complete", kernel.client.complete("spark.createD"))["matches"]
    assert [match.rpartition(".")[2] for match in matches] == ["createDataFrame"]
    assert kernel.ask("complete", kernel.client.complete("spark.read.cs"))["matches"]
    inspected = kernel.ask("inspect", kernel.client.inspect("spark.range"))
    assert "single" in inspected["data"]["text/plain"] and "numPartitions" in inspected["data"]["text/plain"]
    ok(kernel, "spark?")
    assert ok(kernel, "from pyspark.sql import SparkSession as S\nisinstance(spark, S)").result == "True"
    ok(kernel, "spark.stop()")
    assert ok(kernel, "get_ipython().kernel.driver.context is None").result == "True"


def test_an_interrupt_while_the_jvm_starts(kernel: PythonKernel) -> None:
    cell = kernel.begin("spark.range(3).count()")
    wait_until(lambda: has_child(kernel), "the JVM")
    kernel.interrupt()
    assert is_interrupted(kernel, cell)


def has_child(kernel: PythonKernel) -> bool:
    import psutil

    return bool(psutil.Process(kernel.process.pid).children())


def test_the_first_use(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    """Is all real in that very cell, and nothing of the wait is left in the notebook."""
    cell = ok(kernel, "type(spark).__name__, type(sc).__name__, type(sqlContext).__name__, spark.range(10).count()")
    assert cell.result == "('SparkSession', 'SparkContext', 'SQLContext', 10)"
    kinds = [message["header"]["msg_type"] for message in cell.messages]
    assert kinds.count("stream") == kinds.count("clear_output") <= 1 and "FutureWarning" not in cell.stream
    app = only_application(cluster)
    assert app["name"] == f"notebook {kernel.kernel_id}" and app["cores"] == 2
    wait_until(lambda: kernel.report["app_id"] == app["id"], "the report")
    assert ok(kernel, "S.builder.getOrCreate() is spark").result == "True"


def test_the_report(kernel: PythonKernel, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    cell = begin_job(kernel, gate, "sc.parallelize(range(2), 2).map(wait).sum()")
    wait_until(lambda: kernel.report["jobs"] == 1 and kernel.report["executors"] == 2, lambda: kernel.report)
    report = kernel.report
    assert report["tasks"] == 2 and report["idle_since"] is None and report["streams"] == 0
    before = time.time()
    gate.touch()
    assert kernel.finish(cell).result == "1"
    wait_until(lambda: kernel.report["jobs"] == 0, lambda: kernel.report)
    assert before <= kernel.report["idle_since"] <= time.time()
    assert len(kernel.report_file.read_bytes()) == 512


def test_an_interrupted_job(kernel: PythonKernel, tmp_path: Path) -> None:
    for attempt in range(3):
        cell = begin_job(kernel, tmp_path / str(attempt), "kept = 5\nsc.parallelize(range(2), 2).map(wait).sum()")
        for _ in range(attempt + 1):
            kernel.interrupt()
        assert is_interrupted(kernel, cell)
        assert ok(kernel, f"kept, spark.range({attempt}).count()").result == f"(5, {attempt})"


def test_an_interrupted_pandas_udf(kernel: PythonKernel, tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    udf = "from pyspark.sql.functions import pandas_udf\nimport pandas as pd\n"
    udf += "@pandas_udf('long')\ndef slow(s: pd.Series) -> pd.Series:\n    return wait(s)\n"
    cell = begin_job(kernel, tmp_path / "gate", udf + "spark.range(2).select(slow('id')).collect()")
    kernel.interrupt()
    assert is_interrupted(kernel, cell)


def test_a_job_in_a_thread(kernel: PythonKernel, tmp_path: Path) -> None:
    """Is cancelled while no cell runs, and nothing else happens."""
    thread = "import threading\nthread = threading.Thread(target=lambda: sc.parallelize([1]).map(wait).sum())\n"
    kernel.finish(begin_job(kernel, tmp_path / "gate", thread + "threading.excepthook = print; thread.start()"))
    kernel.interrupt()
    assert ok(kernel, "thread.join(60); thread.is_alive()").result == "False"


def test_cells_that_wait_for_something_else(kernel: PythonKernel, tmp_path: Path) -> None:
    here = tmp_path / "here"
    tell = f"import pathlib, time, asyncio; pathlib.Path({str(here)!r}).touch()\n"
    for wait in ("time.sleep(60)", "await asyncio.sleep(60)"):
        cell = kernel.begin(tell + wait)
        wait_until(here.exists, "the cell")
        kernel.interrupt()
        assert kernel.finish(cell, SOON).status == "error"
        here.unlink()
    assert ok(kernel, "spark.range(4).count()").result == "4"


def test_each_interrupted_call_is_followed_by_right_answers(kernel: PythonKernel) -> None:
    cell = """
import random, signal, threading
wrong = 0
for attempt in range(50):
    main = threading.main_thread().ident
    timer = threading.Timer(random.random() / 20, signal.pthread_kill, [main, signal.SIGINT])
    try:
        timer.start()
        while True:
            for n in range(50):
                wrong += spark._jvm.java.lang.Math.abs(-n) != n
    except KeyboardInterrupt:
        pass
    timer.join()
    wrong += sum(spark._jvm.java.lang.Math.abs(-n) != n for n in range(100, 110))
wrong"""
    assert ok(kernel, cell).result == "0"


def test_tables(kernel: PythonKernel) -> None:
    cell = ok(kernel, "df = spark.createDataFrame([(1, None), (2, '<b>')], 'a int, b string')\ndf")
    assert cell.result == "+-+----+\n|a|   b|\n+-+----+\n|1|NULL|\n|2| <b>|\n+-+----+"
    assert "<td>&lt;b&gt;</td>" in cell.html
    assert "only the first 20 rows are shown" in ok(kernel, "display(spark.range(1000))").html
    failed = kernel.run("spark.sql(\"select raise_error('boom')\")")
    assert failed.status == "error" and "boom" in failed.error and not failed.result
    stream = ok(kernel, "spark.readStream.format('rate').load()")
    assert stream.result.startswith("DataFrame[timestamp")


def test_sql(kernel: PythonKernel) -> None:
    cell = ok(kernel, "%%sql --output kept\ncreate temp view v as select ';' as a; -- two;\nselect a from v\n")
    assert cell.result.splitlines()[3] == "|;|"
    assert ok(kernel, "kept.collect()").result == "[Row(a=';')]"
    assert "only the first 3 rows are shown" in ok(kernel, "%sql -n 3 select * from range(9)").result
    for statement in ("select * from nowhere", "selekt", "select raise_error('boom')"):
        failed = kernel.run(f"%%sql\n{statement}")
        assert failed.status == "error" and failed.error.startswith("SqlError: ") and "\tat " not in failed.error


def test_magics(kernel: PythonKernel) -> None:
    assert "Wall time" in ok(kernel, "%time spark.range(3).count()").stream
    assert "loop" in ok(kernel, "%%timeit -n1 -r1\nspark.range(3).count()").stream


def test_a_plot(kernel: PythonKernel) -> None:
    pytest.importorskip("matplotlib")
    cell = ok(kernel, "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert "image/png" in cell.of("display_data")[0]["data"]


def test_a_stream(kernel: PythonKernel, tmp_path: Path) -> None:
    start = "writeStream.format('noop').trigger(processingTime='1 hour').start()"
    ok(kernel, f"query = spark.readStream.format('rate').load().{start}")
    wait_until(lambda: kernel.report["streams"] == 1, lambda: kernel.report)
    here = tmp_path / "here"
    cell = kernel.begin(f"import pathlib; pathlib.Path({str(here)!r}).touch(); query.awaitTermination()")
    wait_until(here.exists, "the cell")
    kernel.interrupt()
    assert is_interrupted(kernel, cell)
    ok(kernel, "query.stop()")
    wait_until(lambda: kernel.report["streams"] == 0, lambda: kernel.report)


def test_stop_and_go_on(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    """Gives the cores back, and the next use makes a new session, in the same cell too."""
    before = kernel.report["app_id"]
    ok(kernel, "process = sc._gateway.proc.pid\nspark.stop()")
    wait_until(lambda: cluster.state()["activeapps"] == [], cluster.state)
    assert ok(kernel, "spark.range(3).count()").result == "3"
    assert ok(kernel, "sc.stop()\nspark.range(4).count(), sc._gateway.proc.pid == process").result == "(4, True)"
    assert only_application(cluster)["id"] != before


def test_a_session_of_the_users_own(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    builder = "spark = S.builder.appName('mine').config('spark.cores.max', 4).config('spark.x', 'y').getOrCreate()"
    cell = ok(kernel, f"spark.stop()\n{builder}\nsc.getConf().get('spark.cores.max'), sc.getConf().get('spark.x')")
    assert cell.result == "('2', 'y')"
    assert cell.stream.startswith("spark.cores.max stays 2, not 4: a kernel keeps the size it was started with.")
    app = only_application(cluster)
    assert app["name"] == f"mine {kernel.kernel_id}" and app["cores"] == 2
    assert ok(kernel, "spark.sparkContext is sc").result == "True"


def test_an_application_that_is_killed_at_the_master(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    body = urllib.parse.urlencode({"id": only_application(cluster)["id"], "terminate": "true"}).encode()
    urllib.request.urlopen(f"{cluster.ui_url}/app/kill/", body, timeout=SOON).close()
    wait_until(lambda: not kernel.report["app_id"], lambda: kernel.report)
    cell = ok(kernel, "spark.range(5).count()")
    assert cell.result == "5" and "Spark's application has ended" in cell.stream


def test_the_end_of_the_jvm(kernel: PythonKernel) -> None:
    cell = kernel.run("kept = 7\nframe = spark.range(3)\nspark._jvm.java.lang.System.exit(3)")
    assert cell.error.startswith("JvmLostError: Spark's JVM has ended")
    assert "Spark's JVM has ended with exit status 3." in cell.stream
    assert kernel.run("frame.count()").error.startswith("JvmLostError")
    wait_until(lambda: not kernel.report["app_id"], "the report")


def test_a_new_jvm_with_the_users_properties(kernel: PythonKernel) -> None:
    """They go through the kernel's own file, and through no command line."""
    secret = f".config('spark.my.password', '{SECRET}')"
    cell = ok(kernel, f"spark = S.builder{secret}.config('spark.driver.memory', '700m').getOrCreate()\nkept, sc.master")
    assert cell.result.startswith("(7, 'spark://")
    commands = " ".join(command_lines(kernel))
    assert "-Xmx700m" in commands and SECRET not in commands
    assert SECRET in kernel.properties_file.read_text()
    assert kernel.properties_file.stat().st_mode & 0o777 == 0o600
    assert SECRET not in kernel.log and "[Stage" not in kernel.log


def command_lines(kernel: PythonKernel) -> list[str]:
    import psutil

    process = psutil.Process(kernel.process.pid)
    lines = []
    for each in (process, *process.children(recursive=True)):
        with contextlib.suppress(psutil.ZombieProcess, psutil.NoSuchProcess):  # it has ended, and has none any more
            lines.append(" ".join(each.cmdline()))
    return lines


def test_the_master_is_away(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    """An interrupt ends the wait, and the context that goes on being made is used or stopped."""
    ok(kernel, "spark.stop()")
    cluster.kill_master()
    cell = kernel.begin("spark.range(6).count()")
    wait_until(lambda: kernel.report["is_starting"], lambda: kernel.report)
    kernel.interrupt()
    assert is_interrupted(kernel, cell)
    assert kernel.report["is_starting"]
    cluster.start_master()
    assert ok(kernel, "spark.range(6).count()").result == "6"
    assert only_application(cluster)


def test_the_kernel_is_killed(kernel: PythonKernel, cluster: StandaloneCluster) -> None:
    """No JVM outlives it."""
    import psutil

    [jvm] = psutil.Process(kernel.process.pid).children()
    os.kill(kernel.process.pid, signal.SIGKILL)
    kernel.process.wait()
    jvm.wait(60)
    wait_until(lambda: not cluster.state()["activeapps"], "the cores")


@pytest.mark.parametrize("python", ["another", "missing"])
def test_the_workers_python(cluster: StandaloneCluster, environ: dict[str, str], tmp_path: Path, python: str) -> None:
    program = tmp_path / "python"
    if python == "another":
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {tmp_path}/main.py "$@"\n')
        program.chmod(0o755)
        main = "import runpy, sys\nfrom collections import namedtuple\n"
        main += "Version = namedtuple('Version', 'major minor micro releaselevel serial')\n"
        main += "sys.version_info = Version(3, sys.version_info[1] + 1, 0, 'final', 0)\n"
        main += "sys.argv = sys.argv[2:]\n"
        main += "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
        (tmp_path / "main.py").write_text(main)
    started = {**environ, "PYSPARK_PYTHON": str(program)}
    minor = sys.version_info[1]
    expected = {
        "another": f"run Python 3.{minor + 1} and this notebook runs Python 3.{minor},",
        "missing": f"can't run {program} (No such file or directory).",
    }[python]
    with PythonKernel(tmp_path, properties(cluster), started) as kernel:
        for code in (
            "sc.parallelize([1]).map(str).collect()",
            "from pyspark.sql.functions import udf\nspark.range(1).select(udf(str)('id'))",
        ):
            error = kernel.run(code).error
            assert error.startswith("WorkerPythonError: Spark's workers ") and expected in error
            assert "\n" not in error
        assert ok(kernel, "spark.range(3).count()").result == "3"
        kernel.client.shutdown()
        began = time.monotonic()
        kernel.process.wait(60)
    assert time.monotonic() - began < SOON
