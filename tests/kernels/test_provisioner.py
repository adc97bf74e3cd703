from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import shutil
import signal
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.connect import LocalPortCache

from kg2at_personality.errors import KernelDied, LaunchFailed, NoFreePort
from kg2at_personality.kernels.launch.toree_report import reporter
from kg2at_personality.spark.driver_report import DriverReport
from tests.fakes.ports import held_range
from tests.fakes.processes import runs
from tests.fakes.toree import QUICK, FakeSpark, reported, start
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
RANGE = held_range(10)


class TestLaunch:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        ours = {"niceness": 3, "job_name": "TOREE1", "toree_options": ["--magic", "a b"], "kernel_ports": RANGE}
        return QUICK | {"KG2ATPersonality": ours, "KernelGatewayApp": {"auth_token": "the-gateways-token"}}

    async def test_what_spark_submit_gets(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        spark.defaults(
            "spark.fake.does hang",
            "spark.my.password hush 'and' \"more\"",
            "spark.driver.extraJavaOptions -Dmy.password=hush -Dplain=1",
        )
        monkeypatch.setenv("KG_AUTH_TOKEN", "the-gateways-token")
        monkeypatch.setenv("SOME_TOKEN", "the-gateways-token")
        monkeypatch.setenv("_BPXK_AUTOCVT", "ON")
        monkeypatch.setenv("DATABASE_PASSWORD", "not yours")
        kernel_id, _ = await start(gateway, env={"KERNEL_MARK": "mine"})
        seen = await spark.launched(kernel_id)
        assert "hush" not in " ".join(seen["argv"]) and seen["argv"][-2:] == ["--magic", "a b"]
        assert seen["properties"]["spark.my.password"] == "hush 'and' \"more\""
        assert seen["properties"]["spark.app.name"].endswith(kernel_id)
        files = spark.runtime / f"kernel-{kernel_id}"
        assert seen["properties"]["spark.driver.extraJavaOptions"] == f"@{files}.javaopts"
        assert '"-Dmy.password=hush"\n"-Dplain=1"\n' in seen["java_options"]
        assert seen["modes"] == dict.fromkeys((".json", ".properties", ".javaopts", ".report", ".log"), 0o600)
        assert seen["leads_its_group"] and seen["niceness"] == os.getpriority(os.PRIO_PROCESS, 0) + 3
        first, last = map(int, RANGE.split("-"))
        assert {seen["connection"][name] for name in PORTS} <= set(range(first, last + 1))
        env = seen["env"]
        assert "the-gateways-token" not in env.values() and "DATABASE_PASSWORD" not in env
        assert (env["KERNEL_MARK"], env["KERNEL_ID"], env["_BPX_JOBNAME"]) == ("mine", kernel_id, "TOREE1")
        assert (env["_BPXK_AUTOCVT"], env["HOME"]) == ("ON", os.environ["HOME"])

    async def test_an_interrupt_is_not_ignored_from_the_start(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        before = signal.getsignal(signal.SIGINT)
        try:
            signal.signal(signal.SIGINT, lambda *_: None)
            kernel_id, _ = await start(gateway)
            assert "default_int_handler" in (await spark.launched(kernel_id))["sigint"]
        finally:
            signal.signal(signal.SIGINT, before)


class TestInterrupt:
    async def test_before_the_first_answer_nothing_is_sent(self, gateway: Any, spark: FakeSpark) -> None:
        """A JVM that has not installed its handler yet would die of it."""
        gate = spark.gate()
        kernel_id, kernel = await start(gateway)
        seen = await spark.launched(kernel_id)
        for _ in range(2):
            assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})).code == 204
        gate.open()
        await kernel.answered()
        assert runs(seen["pid"]) and spark.interrupts(kernel_id) == []

    async def test_one_that_comes_before_the_handler_ends_the_cell_that_waits(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        """The user's first cell never ends, and is interrupted while the process still learns how."""
        spark.defaults("spark.fake.learns hang")
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        client = kernel.client()
        client.start_channels()
        try:
            client.execute("import time; time.sleep(60)")
            for _ in range(2):
                assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})).code == 204
            assert not kernel.setup_cell.has_ended and spark.interrupts(kernel_id) == []
            reply = await client.get_shell_msg(timeout=30)
            assert reply["content"]["ename"] == "KeyboardInterrupt" and spark.interrupts(kernel_id) == ["SIGUSR2"]
        finally:
            client.stop_channels()

    async def test_one_that_came_too_early_is_not_for_the_next_process(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.learns hang")
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})).code == 204
        spark.defaults()
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        await kernel.answered()
        await until(lambda: kernel.setup_cell.has_ended, "the handler")
        assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n" and spark.interrupts(kernel_id) == []

    async def test_it_goes_as_usr2_to_the_leader_alone(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.child yes")
        kernel_id, kernel = await start(gateway)
        seen = await spark.launched(kernel_id)
        await until(lambda: kernel.setup_cell.has_ended, "the handler")
        for times in (1, 2):
            assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {})).code == 204
            await until(lambda times=times: len(spark.interrupts(kernel_id)) == times, "an interrupt")
        assert spark.interrupts(kernel_id) == ["SIGUSR2", "SIGUSR2"]
        assert runs(seen["pid"]) and runs(seen["child"])

    async def test_a_running_cell_ends(self, gateway: Any, spark: FakeSpark, tmp_path: Path) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        client, begun = kernel.client(), tmp_path / "begun"
        client.start_channels()
        try:
            await client.wait_for_ready(timeout=30)
            client.execute(f"import time; open({str(begun)!r}, 'w').close(); time.sleep(60)")
            await until(begun.exists, "the cell")
            await gateway.app.kernel_manager.interrupt_kernel(kernel_id)
            reply = await client.get_shell_msg(timeout=30)
            assert reply["content"]["ename"] == "KeyboardInterrupt"
        finally:
            client.stop_channels()

    async def test_all_else_goes_to_the_whole_group(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.child yes", "spark.fake.does hang")
        kernel_id, kernel = await start(gateway)
        seen = await spark.launched(kernel_id)
        await kernel.provisioner.send_signal(signal.SIGKILL)
        await until(lambda: not runs(seen["pid"]) and not runs(seen["child"]), "the end of both")


class TestOutput:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"max_kernel_log_size": 1000}}

    async def test_it_goes_to_a_private_log_within_its_bound(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang", f"spark.fake.says {'x' * 3000}newest")
        kernel_id, _ = await start(gateway)
        log = spark.runtime / f"kernel-{kernel_id}.log"
        await until(lambda: "newest" in log.read_text() and log.stat().st_size <= 1000, "a log within its bound")
        assert log.stat().st_mode & 0o777 == 0o600


async def test_last_lines_are_redacted(gateway: Any, spark: FakeSpark) -> None:
    spark.defaults("spark.fake.does hang", "spark.my.password hush", "spark.fake.says can't open hush\\nthe end")
    kernel_id, kernel = await start(gateway)
    log = spark.runtime / f"kernel-{kernel_id}.log"
    await until(lambda: "the end" in log.read_text(), "its output")
    assert await kernel.console.last_lines() == "can't open *********(redacted)\nthe end"
    assert "can't open hush" in log.read_text()


class TestPorts:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"kernel_ports": RANGE}}

    async def test_kernels_never_share_and_the_last_is_told_why(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        started = await asyncio.gather(*(start(gateway) for _ in range(4)), return_exceptions=True)
        kernels = [result for result in started if not isinstance(result, BaseException)]
        refused = [result for result in started if isinstance(result, BaseException)]
        assert len(kernels) == 2 and {type(error) for error in refused} == {NoFreePort}
        ports = [port for _, kernel in kernels for port in kernel.ports]
        assert len(set(ports)) == 10
        answer = await gateway.ask("POST", "/api/kernels", {"name": "apache_toree_scala"})
        assert answer.code == 503 and b"kernel_ports" in answer.body
        assert len(spark.left()) == 4 * 2, spark.left()

    async def test_they_are_given_back(self, gateway: Any, spark: FakeSpark) -> None:
        spark.defaults("spark.fake.does hang")
        for _ in range(3):
            kernel_id, _ = await start(gateway)
            await start(gateway)
            for listed in gateway.app.kernel_manager.list_kernel_ids():
                await gateway.app.kernel_manager.shutdown_kernel(listed, now=True)
            assert gateway.app.kernel_manager.kernel_ports._taken == set()
            assert kernel_id not in gateway.app.kernel_manager

    async def test_a_restart_keeps_them(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        before = list(kernel.ports)
        await gateway.app.kernel_manager.restart_kernel(kernel_id)
        seen = await spark.launched(kernel_id, 2)
        assert kernel.ports == before and {seen["connection"][name] for name in PORTS} == set(before)
        assert gateway.app.kernel_manager.kernel_ports._taken == set(before)
        await kernel.answered()


class TestFailedLaunch:
    """Whatever fails, no file, no port, no process and no kernel is left."""

    @pytest.fixture(params=["", RANGE], ids=["any ports", "a range"])
    def settings(self, request: Any, tmp_path: Path) -> dict[str, Any]:
        return QUICK | {"KG2ATPersonality": {"kernel_ports": request.param, "state_dir": str(tmp_path / "state")}}

    def check_nothing_is_left(self, gateway: Any, spark: FakeSpark, ports: set[int]) -> None:
        manager = gateway.app.kernel_manager
        assert (manager.list_kernel_ids(), manager.starts._starts, manager._pending_kernels) == ([], {}, {})
        assert manager._kernel_connections == {} and not manager.starts
        assert spark.left() == [] and spark.living() == []
        assert manager.kernel_ports is None or manager.kernel_ports._taken == set()
        assert LocalPortCache.instance().currently_used_ports <= ports

    async def test_spark_submit_is_gone_at_the_last_moment(
        self, gateway: Any, spark: FakeSpark, monkeypatch: Any
    ) -> None:
        ports = set(LocalPortCache.instance().currently_used_ports)
        self.after_the_plan(gateway, monkeypatch, spark.submit.unlink)
        answer = await gateway.ask("POST", "/api/kernels", {"name": "apache_toree_scala"})
        assert answer.code in (500, 503) and b"message" in answer.body and b"Traceback" not in answer.body
        self.check_nothing_is_left(gateway, spark, ports)

    async def test_spark_submit_may_not_run(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        ports = set(LocalPortCache.instance().currently_used_ports)
        self.after_the_plan(gateway, monkeypatch, lambda: spark.submit.chmod(0o600))
        with pytest.raises(LaunchFailed, match="Permission denied"):
            await start(gateway)
        self.check_nothing_is_left(gateway, spark, ports)

    async def test_the_runtime_directory_is_gone(self, gateway: Any, spark: FakeSpark) -> None:
        ports = set(LocalPortCache.instance().currently_used_ports)
        shutil.rmtree(spark.runtime)
        with pytest.raises(LaunchFailed, match="No such file or directory"):
            await start(gateway)
        self.check_nothing_is_left(gateway, spark, ports)
        spark.runtime.mkdir()
        kernel_id, _ = await start(gateway)
        assert kernel_id in gateway.app.kernel_manager

    async def test_the_disk_is_full(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        ports = set(LocalPortCache.instance().currently_used_ports)

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("kg2at_personality.kernels.files.KernelFiles.write_properties", full)
        with pytest.raises(LaunchFailed, match="No space left"):
            await start(gateway)
        self.check_nothing_is_left(gateway, spark, ports)

    async def test_after_the_process_runs(self, gateway: Any, spark: FakeSpark, monkeypatch: Any) -> None:
        spark.defaults("spark.fake.does hang")
        ports = set(LocalPortCache.instance().currently_used_ports)

        async def fail(kernel: Any, **_: Any) -> None:
            await spark.launched(kernel.kernel_id)
            raise RuntimeError("no control socket")

        monkeypatch.setattr("kg2at_personality.kernels.kernel.GatewayKernel._async_post_start_kernel", fail)
        with pytest.raises(RuntimeError, match="no control socket"):
            await start(gateway)
        assert len(spark.launches()) == 1
        self.check_nothing_is_left(gateway, spark, ports)

    def after_the_plan(self, gateway: Any, monkeypatch: Any, do: Any) -> None:
        """Have `do` happen between the check of the installation and the launch."""
        cls = type(gateway.app.kernel_manager.launcher)
        real = cls.plan

        def plan(*args: Any) -> Any:
            made = real(*args)
            do()
            return made

        monkeypatch.setattr(cls, "plan", plan)


def text_and_mode(path: Path) -> tuple[str, int]:
    return path.read_text(), path.stat().st_mode & 0o777


def idle_since(kernel: Any) -> datetime | None:
    """When it was last used, by its newest report."""
    since: datetime | None = kernel.idle_since(kernel.kind.driver_report() or DriverReport())
    return since


class TestReports:
    """What the driver does, as it writes beside the connection file; tests/e2e has a real one."""

    async def test_none_before_the_first(self, gateway: Any, spark: FakeSpark) -> None:
        _, kernel = await start(gateway)
        await kernel.answered()
        assert kernel.kind.files.report.read_bytes() == b"" and kernel.kind.driver_report() is None
        assert idle_since(kernel) == kernel.last_activity

    async def test_the_newest_that_can_be_read(self, gateway: Any, spark: FakeSpark) -> None:
        _, kernel = await start(gateway)
        file = kernel.kind.files.report
        for content in (reported(jobs=2, tasks=7), b"", reported()[:40], reported(jobs=-1), b"\xff", b"[]", b"1e999"):
            file.write_bytes(content)
            assert kernel.kind.driver_report() == DriverReport(False, "app-1", 2, 7, 1), content
        file.write_bytes(reported(is_starting=True, app_id="", executors=0, idle_since=17.5))
        assert kernel.kind.driver_report() == DriverReport(is_starting=True, idle_since=17.5)

    async def test_none_where_it_can_not_be_read(self, gateway: Any, spark: FakeSpark) -> None:
        _, kernel = await start(gateway)
        kernel.kind.files.report.write_bytes(reported())
        assert kernel.kind.driver_report() is not None
        kernel.kind.files.report.unlink()
        assert kernel.kind.driver_report() is None

    async def test_a_new_process_begins_without_one(self, gateway: Any, spark: FakeSpark) -> None:
        kernel_id, kernel = await start(gateway)
        await kernel.answered()
        kernel.kind.files.report.write_bytes(reported(jobs=1))
        assert kernel.kind.driver_report().jobs == 1 and idle_since(kernel) is None
        await gateway.app.kernel_manager.restart_kernel(kernel_id)
        assert kernel.kind.driver_report() is None
        await kernel.answered()

    async def test_idle_since(self, gateway: Any, spark: FakeSpark) -> None:
        _, kernel = await start(gateway)
        assert idle_since(kernel) is None, "it has not answered yet"
        await kernel.answered()
        file = kernel.kind.files.report
        later = datetime(2100, 1, 1, tzinfo=timezone.utc)
        for changes, expected in (
            ({"jobs": 1}, None),
            ({"streams": 1}, None),
            ({"idle_since": 1.0}, kernel.last_activity),
            ({"idle_since": later.timestamp()}, later),
        ):
            file.write_bytes(reported(**changes))
            assert idle_since(kernel) == expected, changes
        kernel.execution_state = "busy"
        assert idle_since(kernel) is None

    def test_any_path_is_told(self) -> None:
        path = Path('/tmp/"quoted" \\u0022 \n${x} ä €/kernel.report')
        [encoded] = re.findall(r'decode\("([A-Za-z0-9+/=]*)"\)', reporter(path))
        assert base64.b64decode(encoded).decode() == str(path)


class TestSparkEnv:
    """spark-env.sh runs once more for each kernel, with what the kernel's client sent."""

    async def test_a_secret_of_spark_env_sh_is_in_no_argument_and_not_in_the_environment(
        self, gateway: Any, spark: FakeSpark
    ) -> None:
        (spark.conf / "spark-env.sh").write_text(
            "SPARK_OPTS='--conf spark.my.password=hush'\nSPARK_SUBMIT_OPTS=-Dmy.password=hush\n"
        )
        spark.defaults("spark.fake.does hang")
        kernel_id, _ = await start(gateway, env={"KERNEL_MARK": "mine"})
        seen = await spark.launched(kernel_id)
        assert seen["properties"]["spark.my.password"] == "hush"
        assert "hush" not in " ".join(seen["argv"]) and "hush" not in str(seen["env"])
        options = spark.runtime / f"kernel-{kernel_id}.submitopts"
        assert seen["env"]["SPARK_SUBMIT_OPTS"] == f"@{options}"
        assert text_and_mode(options) == ('"-Dmy.password=hush"\n', 0o600)
        (spark.conf / "spark-env.sh").unlink()
        assert (await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})).code == 200
        assert "SPARK_SUBMIT_OPTS" not in (await spark.launched(kernel_id, 2))["env"]
        assert options.name not in spark.left()

    async def test_a_script_that_fails_for_a_kernel_starts_none(self, gateway: Any, spark: FakeSpark) -> None:
        (spark.conf / "spark-env.sh").write_text("[ -z $KERNEL_ID ] || exit 3\n")
        answer = await gateway.ask("POST", "/api/kernels", {})
        assert answer.code == 503 and "spark-env.sh: it ended the shell with status 3" in answer.body.decode()
        assert spark.launches() == [] and spark.left() == []


async def test_files_go_with_the_kernel(gateway: Any, spark: FakeSpark) -> None:
    spark.defaults("spark.fake.does hang", "spark.driver.extraJavaOptions -Dmy.password=hush")
    kernel_id, _ = await start(gateway)
    await spark.launched(kernel_id)
    suffixes = ("javaopts", "json", "log", "properties", "report")
    assert spark.left() == [f"kernel-{kernel_id}.{suffix}" for suffix in suffixes]
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
    assert spark.left() == [] and spark.living() == []


async def test_files_and_ports_go_with_a_kernel_that_died(gateway: Any, spark: FakeSpark) -> None:
    spark.defaults("spark.fake.does die")
    _, kernel = await start(gateway)
    with pytest.raises(KernelDied):
        await kernel.answered()
    assert spark.left() == [] and spark.living() == []


async def test_a_kernelspec_that_only_names_the_provisioner_is_told_so(gateway: Any, spark: FakeSpark) -> None:
    folder = spark.root / "DATA" / "kernels" / "bare"
    folder.mkdir(parents=True)
    spec = {"argv": ["x"], "display_name": "Bare", "language": "scala"}
    metadata = {"kernel_provisioner": {"provisioner_name": "kg2at-spark-provisioner"}}
    (folder / "kernel.json").write_text(json.dumps(spec | {"metadata": metadata}))
    answer = await gateway.ask("POST", "/api/kernels", {"name": "bare"})
    assert answer.code == 503 and b"bare is not one of kg2at's" in answer.body
    assert gateway.app.kernel_manager.list_kernel_ids() == [] and spark.left() == []
