"""A gateway that dies loses nothing: Torees and Pythons on a real standalone cluster, and kill -9."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from kg2at_personality.state import failpoints
from tests.e2e import language
from tests.e2e.language import LANGUAGES, Language
from tests.e2e.survival import DYING, Ward
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]
#: How often the gateway is killed at random; KG2AT_TEST_ROUNDS=50 takes its time.
ROUNDS = int(os.environ.get("KG2AT_TEST_ROUNDS", "4"))


@pytest.fixture(scope="module")
def ward(cluster: StandaloneCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    directory: Path = tmp_path_factory.mktemp("gateway")
    with Gateway(directory, defaults=defaults_on(cluster, "spark.ui.enabled false"), **DYING) as running:
        yield Ward(running, cluster)
    assert Ward(running, cluster).files() == []


@pytest.fixture(scope="module", params=LANGUAGES, ids=language.name)
def spoken(request: Any) -> Language:
    """Return the language of the kernels under test."""
    found: Language = request.param
    return found


@pytest.fixture(scope="module")
def survivor(ward: Ward, spoken: Language) -> Iterator[str]:
    """Start a kernel with a variable, and two of the four cores."""
    kernel_id = ward.gateway.start_kernel(
        spoken.kernel,
        env={"KERNEL_SPARK_CORES_MAX": "2", "KERNEL_USERNAME": "ada"},
        kernel_id="12345678-1234-1234-1234-123456789abc",
    )
    assert "55" in ward.run(kernel_id, spoken.let("kept", spoken.sum(10)) + spoken.show("kept"))
    yield kernel_id
    ward.gateway.delete(kernel_id)


def lease(ward: Ward, kernel_id: str) -> dict[str, Any]:
    rows = ward.gateway.request("GET", "/kg2at/status").body["kernels"]
    return next(row for row in rows if row["kernel_id"] == kernel_id)


def granted(cluster: StandaloneCluster) -> dict[str, int]:
    return {app["name"].split()[-1]: app["cores"] for app in cluster.state()["activeapps"]}


def test_a_kernel_goes_on_and_so_does_its_job(
    ward: Ward, spoken: Language, survivor: str, cluster: StandaloneCluster, tmp_path: Path
) -> None:
    before, process = lease(ward, survivor), psutil.Process(lease(ward, survivor)["pid"])
    channels = ward.gateway.connect(survivor)
    gate = tmp_path / "gate"
    channels.begin(spoken.let("long", spoken.gated(gate)), tmp_path / "here", spoken.here)
    ward.killed()
    assert ward.kernels()[survivor]["execution_state"] == "busy", "its job runs on"
    gate.touch()
    after = lease(ward, survivor)
    assert [after[name] for name in ("pid", "since", "user", "cores", "name")] == [
        before[name] for name in ("pid", "since", "user", "cores", "name")
    ]
    assert process.is_running() and granted(cluster) == {survivor: 2}
    wait_until(lambda: lease(ward, survivor)["app_id"], lambda: lease(ward, survivor))
    shown = ward.run(survivor, spoken.show("kept") + spoken.show("long")).split()
    assert [float(each) for each in shown] == [55, 3]
    wait_until(lambda: ward.kernels()[survivor]["execution_state"] == "idle", ward.kernels)


def test_its_cores_are_held_for_it(ward: Ward, survivor: str) -> None:
    """Three more would be one too many on four cores."""
    ward.killed()
    env = {"KERNEL_SPARK_CORES_MAX": "3", "KERNEL_LAUNCH_TIMEOUT": "5"}
    answer = ward.gateway.request("POST", "/api/kernels", {"env": env})
    assert answer.status == 503 and answer.body["reason"] == "Cluster is busy", answer
    ward.is_well()


@pytest.mark.parametrize("uses_spark", [False, True])
def test_it_can_be_interrupted(ward: Ward, spoken: Language, survivor: str, uses_spark: bool, tmp_path: Path) -> None:
    ward.killed()
    channels = ward.gateway.connect(survivor)
    code = spoken.gated(tmp_path / "never") if uses_spark else spoken.sleep(60)
    message = channels.begin(code, tmp_path / "here", spoken.here)
    assert ward.gateway.request("POST", f"/api/kernels/{survivor}/interrupt", {}).status == 204
    assert channels.finish(message).reply["status"] == "error"
    (tmp_path / "never").touch()  # Spark may let tasks run on that were cancelled (spark.job.interruptOnCancel)
    assert "55" in ward.run(survivor, spoken.show("kept"))


def test_a_planned_restart_keeps_it_too(ward: Ward, spoken: Language, survivor: str) -> None:
    ward.gateway.argv.append("--KG2ATPersonality.keep_kernels_on_exit=True")
    ward.killed()
    pid = lease(ward, survivor)["pid"]
    assert ward.gateway.stop() == 0
    assert psutil.pid_exists(pid)
    ward.gateway.argv.pop()
    ward.gateway.start()
    assert lease(ward, survivor)["pid"] == pid
    assert "55" in ward.run(survivor, spoken.show("kept"))


# kill -9 at each step. The survivor is there all the time, and has to answer after each.


@pytest.mark.parametrize("point", failpoints.START)
def test_killed_at_a_start(ward: Ward, spoken: Language, survivor: str, point: str) -> None:
    ward.dies_at(point, lambda: ward.gateway.request("POST", "/api/kernels", {"name": spoken.kernel}))
    ward.is_well()
    more = set(ward.kernels()) - {survivor}
    assert len(more) == (point == "start: done"), "the one that was written down before anybody was told is kept"
    for kernel_id in more:
        assert ward.gateway.delete(kernel_id) == 204
    ward.is_well()


@pytest.mark.parametrize("point", failpoints.HAND_OUT)
def test_killed_in_a_hand_out(ward: Ward, spoken: Language, survivor: str, point: str) -> None:
    """What waited is ended, or its user's: written down as that, it is kept."""
    ward.dies_in_hand_out(point, spoken.kernel)
    ward.is_well()
    more = set(ward.kernels()) - {survivor}
    assert len(more) == (point == "hand-out: written")
    for kernel_id in more:
        assert "3" in ward.run(kernel_id, spoken.show(spoken.sum(2)))
        assert ward.gateway.delete(kernel_id) == 204
    ward.is_well()


@pytest.mark.parametrize("point", failpoints.STOP)
def test_killed_at_a_stop(ward: Ward, spoken: Language, survivor: str, point: str) -> None:
    kernel_id = ward.gateway.start_kernel(spoken.kernel)
    if point == "stop: ended":
        assert "3" in ward.run(kernel_id, spoken.show(spoken.sum(2)))
    ward.dies_at(point, lambda: ward.gateway.delete(kernel_id))
    ward.is_well(gone=(kernel_id,))
    assert ward.gateway.delete(kernel_id) in (204, 404)
    assert set(ward.kernels()) == {survivor}


@pytest.fixture(scope="class")
def restarted(ward: Ward, spoken: Language, survivor: str) -> Iterator[str]:
    kernel_id = ward.gateway.start_kernel(spoken.kernel)
    yield kernel_id
    assert ward.gateway.delete(kernel_id) == 204
    ward.is_well(gone=(kernel_id,))


class TestRestart:
    @pytest.mark.parametrize("point", [*failpoints.RESTART, "start: recorded", "start: launched"])
    def test_killed_at_a_restart(self, ward: Ward, spoken: Language, restarted: str, point: str) -> None:
        """The notebook that asked for the restart gets its new process."""
        assert "1" in ward.run(restarted, spoken.let("old", "1") + spoken.show("old"))
        ward.dies_at(point, lambda: ward.gateway.request("POST", f"/api/kernels/{restarted}/restart", {}))
        ward.is_well()
        assert spoken.unknown in ward.run(restarted, spoken.show("old"))


def test_one_that_died_meanwhile_is_cleaned_up(ward: Ward, spoken: Language, survivor: str) -> None:
    kernel_id = ward.gateway.start_kernel(spoken.kernel)
    assert "3" in ward.run(kernel_id, spoken.show(spoken.sum(2)))
    pid = lease(ward, kernel_id)["pid"]
    ward.gateway.kill()
    os.kill(pid, signal.SIGKILL)
    ward.gateway.start()
    assert set(ward.kernels()) == {survivor}
    ward.is_well(gone=(kernel_id,))
    assert ward.gateway.delete(kernel_id) == 204


def test_a_stopped_one_is_ended_by_one_click(ward: Ward, spoken: Language, survivor: str) -> None:
    """SIGSTOP: it hears neither request nor SIGTERM."""
    kernel_id = ward.gateway.start_kernel(spoken.kernel)
    assert "3" in ward.run(kernel_id, spoken.show(spoken.sum(2)))
    ward.killed()
    os.kill(lease(ward, kernel_id)["pid"], signal.SIGSTOP)
    assert ward.gateway.delete(kernel_id) == 204
    assert ward.strangers() == [], "204 means that it is gone"
    ward.is_well(gone=(kernel_id,))


class TestAtRandom:
    """Killed at any moment of whatever a gateway does."""

    def test_nothing_is_left_that_no_kernel_owns(self, ward: Ward, spoken: Language, survivor: str) -> None:
        seed = random.randrange(2**32)
        print(f"seed {seed}, {ROUNDS} rounds")
        chance = random.Random(seed)
        for _ in range(ROUNDS):
            self.one_round(ward, spoken, survivor, chance)
            ward.is_well()
            assert "55" in ward.run(survivor, spoken.show("kept"))
        for kernel_id in set(ward.kernels()) - {survivor}:
            assert ward.gateway.delete(kernel_id) == 204
        ward.is_well()

    def one_round(self, ward: Ward, spoken: Language, survivor: str, chance: random.Random) -> None:
        others = sorted(set(ward.kernels()) - {survivor})
        doings: list[Callable[[], Any]] = [
            lambda: ward.gateway.request("POST", "/api/kernels", {"name": spoken.kernel})
        ]
        if others:
            victim = chance.choice(others)
            doings = [
                lambda: ward.gateway.request("POST", f"/api/kernels/{victim}/restart", {}),
                lambda: ward.gateway.delete(victim),
                lambda: ward.gateway.delete(victim),
            ]
        doing, delay = chance.choice(doings), chance.choice((0.05, 0.6, 3.0)) * chance.random()
        ward.kill_during(doing, delay)


def test_the_last_click(ward: Ward, survivor: str, cluster: StandaloneCluster) -> None:
    assert ward.gateway.delete(survivor) == 204
    assert granted(cluster) == {} and ward.processes() == {} and ward.files() == []
