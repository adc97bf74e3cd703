"""The standalone cluster for tests and demos, with programs in place of its JVMs; tests/e2e has the real one."""

from __future__ import annotations

import signal
import socket
from pathlib import Path

import pytest

from kg2at_personality.errors import InstallationError, KG2ATError
from kg2at_personality.spark.standalone import StandaloneCluster
from kg2at_personality.system.free_ports import free_ports
from kg2at_personality.system.process_guard import GuardedProcess
from kg2at_personality.system.time_limits import wait_until
from tests.fakes.spark_class import make


def cluster(tmp_path: Path, mode: str = "", **options: object) -> StandaloneCluster:
    """A cluster of fake programs, not yet started."""
    home = make(tmp_path / "spark", mode)
    return StandaloneCluster(home, tmp_path / "java", timeout=60, **options)  # type: ignore[arg-type]


def processes(running: StandaloneCluster) -> list[GuardedProcess]:
    return [group for group in (running._master, *running._workers) if group is not None]


def test_it_is_up_inside_the_block_and_gone_after_it(tmp_path: Path) -> None:
    seen: list[int] = []
    with cluster(tmp_path, workers=2, cores=3, memory="1g", progress=seen.append) as running:
        assert [worker["size"] for worker in running.state()["workers"]] == [["3", "1g", running.master_url]] * 2
        assert seen[-1] == 2 and running.ended() == []
        everyone, directory = processes(running), running.directory
        assert len(everyone) == 3 and (directory / "worker-2.log").exists()
    assert not any(group.signal(0) for group in everyone)
    assert not directory.exists()
    running.stop()


def test_a_directory_that_was_given_stays_with_its_logs(tmp_path: Path) -> None:
    with cluster(tmp_path, workers=1, directory=tmp_path / "logs"):
        pass
    assert sorted(path.name for path in (tmp_path / "logs").iterdir()) == ["conf", "master.log", "worker-1.log"]


def test_wanted_ports(tmp_path: Path) -> None:
    port, webui = free_ports("127.0.0.1", 0, 0)
    with cluster(tmp_path, workers=0, port=port, webui_port=webui) as running:
        assert (running.master_url, running.ui_url) == (f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{webui}")


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(KG2ATError, match=rf"Port {port} can't be had: Address already in use\. Give another"),
            cluster(tmp_path, port=port),
        ):
            pass


def test_another_port_is_tried_when_a_free_one_is_taken_first(tmp_path: Path) -> None:
    with cluster(tmp_path, "bind", workers=1) as running:
        assert len(running.state()["workers"]) == 1


def test_what_ends_by_itself_is_an_error_with_its_last_lines(tmp_path: Path) -> None:
    failing = cluster(tmp_path, "fail")
    with pytest.raises(KG2ATError, match=r"cluster's master ended by itself:\nit went wrong"), failing:
        pass
    assert processes(failing) == [] and not failing.directory.exists()


def test_a_cluster_that_is_not_up_in_time(tmp_path: Path) -> None:
    slow = cluster(tmp_path, "mute")
    slow.timeout = 0.0
    with pytest.raises(KG2ATError, match="not up after 0 s"), slow:
        pass
    assert processes(slow) == []


def test_no_spark(tmp_path: Path) -> None:
    with pytest.raises(InstallationError, match="is no Spark: it has no bin/spark-class"):
        StandaloneCluster(tmp_path, tmp_path).__enter__()


def test_the_master_ends_and_comes_back_on_its_ports(tmp_path: Path) -> None:
    with cluster(tmp_path, workers=1) as running:
        url = running.master_url
        running.kill_master()
        running.kill_master()
        with pytest.raises(OSError, match="refused"):
            running.state()
        running.start_master()
        assert running.state()["url"] == url
        [worker] = running._workers
        worker.signal(signal.SIGKILL)
        assert wait_until(lambda: running.ended() == [worker], 30)
