"""Kernels of another user than the gateway's: the system really refuses every signal."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kg2at_personality.spark.installation import Installation
from kg2at_personality.spark.standalone import StandaloneCluster
from tests.e2e import language
from tests.e2e.language import LANGUAGES, Language
from tests.e2e.survival import Ward
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.wait import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("setpriv"), reason="only root, with setpriv, can be two users"
    ),
]
#: The gateway's (daemon) and the kernels' (nobody). Both may read everything, and signal nobody but themselves.
#: Half of shutdown_wait_time is for a kernel to end by itself, which takes seconds on a busy machine.
#: A Python kernel replaces its properties file, in a directory that jupyter_client makes sticky (ConnectionFileMixin).
GATEWAY, KERNEL = "1", "65534"
CAPABILITIES = "+dac_override,+fowner,+setuid,+setgid"


def become(user: str) -> list[str]:
    return [
        *("setpriv", "--reuid", user, "--regid", user, "--clear-groups"),
        *("--inh-caps", CAPABILITIES, "--ambient-caps", CAPABILITIES),
    ]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    """Return a directory where both users may write."""
    path = Path(tempfile.mkdtemp(prefix="kg2at-users-"))
    path.chmod(0o777)
    yield path
    shutil.rmtree(path)


def spark_home(directory: Path, installation: Installation) -> Path:
    """Make a copy of the installed Spark whose spark-submit runs as the other user."""
    home = directory / "spark"
    (home / "bin").mkdir(parents=True)
    for path in Path(installation.spark.home).iterdir():
        if path.name != "bin":
            (home / path.name).symlink_to(path)
    submit = home / "bin" / "spark-submit"
    real = Path(installation.spark.home) / "bin" / "spark-submit"
    homes = f"SPARK_HOME={installation.spark.home} HOME={directory} _JAVA_OPTIONS=-Duser.home={directory}"
    submit.write_text(f'#!/bin/sh\nexport {homes}\nexec {" ".join(become(KERNEL))} {real} "$@"\n')
    submit.chmod(0o755)
    return home


def python(directory: Path) -> Path:
    """Make a Python that runs as the other user."""
    path = directory / "python"
    path.write_text(f'#!/bin/sh\nexport HOME={directory}\nexec {" ".join(become(KERNEL))} {sys.executable} "$@"\n')
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def ward(directory: Path, cluster: StandaloneCluster, installation: Installation) -> Iterator[Ward]:
    defaults = defaults_on(cluster, "spark.ui.enabled false")
    environ = {"HOME": str(directory), "USER": "gateway", "LOGNAME": "gateway"}
    environ |= {"KG2AT_SPARK_HOME": str(spark_home(directory, installation)), "KG2AT_JAVA_HOME": installation.java.home}
    options = ("--KernelManager.shutdown_wait_time=20", f"--KG2ATPersonality.python={python(directory)}")
    gateway = Gateway(directory / "gateway", *options, defaults=defaults, environ=environ)
    spec = directory / "gateway" / "data" / "kernels" / "other"
    spec.mkdir(parents=True)
    argv = [*become(KERNEL), sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "other", "language": "python"}))
    gateway.argv[:0] = become(GATEWAY)
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            os.chown(path, int(GATEWAY), int(GATEWAY))
    with gateway:
        yield Ward(gateway, cluster)
    assert not psutil.pid_exists(gateway.process.pid if gateway.process else 0)


def pid_of(ward: Ward, kernel_id: str) -> int:
    rows = ward.gateway.request("GET", "/kg2at/status").body["kernels"]
    return next(int(row["pid"]) for row in rows if row["kernel_id"] == kernel_id)


def started(ward: Ward, name: str) -> tuple[str, int]:
    """Start a kernel; return its id and its pid when it answers. The gateway may not signal it."""
    kernel_id = ward.gateway.start_kernel(name)
    assert "2" in ward.run(kernel_id, "println(1 + 1)" if "toree" in name else "print(1 + 1)")
    pid = pid_of(ward, kernel_id)
    assert psutil.Process(pid).uids().real == int(KERNEL)
    assert ward.gateway.process is not None
    assert psutil.Process(ward.gateway.process.pid).uids().real == int(GATEWAY)
    return kernel_id, pid


def lives(pid: int) -> bool:
    """Whether the process runs; one whose parent died may wait a moment for init to reap it."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("name", ["other", "apache_toree_scala", "spark_python"])
@pytest.mark.parametrize("is_adopted", [False, True])
def test_one_click_is_enough(ward: Ward, name: str, is_adopted: bool) -> None:
    """The refused signals stop nothing: the kernel is asked to end, and does."""
    kernel_id, pid = started(ward, name)
    if is_adopted:
        ward.killed()
        assert "2" in ward.run(kernel_id, "println(1 + 1)" if "toree" in name else "print(1 + 1)")
    assert ward.gateway.delete(kernel_id) == 204
    assert not lives(pid)
    assert ward.strangers() == [] and ward.kernels() == {}


def test_an_interrupt_that_is_refused_is_told(ward: Ward) -> None:
    kernel_id, _ = started(ward, "other")
    answer = ward.gateway.request("POST", f"/api/kernels/{kernel_id}/interrupt", {})
    assert answer.status == 503 and "not permitted" in answer.body["message"], answer
    assert ward.gateway.delete(kernel_id) == 204


@pytest.mark.parametrize("spoken", LANGUAGES, ids=language.name)
def test_what_lives_on_is_a_zombie_and_its_application_is_ended(
    ward: Ward, cluster: StandaloneCluster, spoken: Language
) -> None:
    kernel_id, pid = started(ward, spoken.kernel)
    assert float(ward.run(kernel_id, spoken.show(spoken.sum(2))).split()[-1]) == 3
    assert ward.applications() != []
    group = os.getpgid(pid)
    os.killpg(group, signal.SIGSTOP)
    try:
        assert ward.gateway.delete(kernel_id) == 204
        assert ward.kernels() == {}
        [zombie] = ward.zombies()
        assert (zombie["kernel_id"], zombie["pid"]) == (kernel_id, pid) and zombie["reason"] and zombie["since"]
        wait_until(lambda: ward.applications() == [], cluster.state)
        assert ward.gateway.delete(kernel_id) == 204, "again"
        # The next gateway takes care of it too.
        ward.killed()
        wait_until(lambda: ward.zombies(), lambda: ward.log)
        assert lives(pid)
    finally:
        os.killpg(group, signal.SIGCONT)
    wait_until(lambda: not ward.zombies() and not lives(pid), lambda: (ward.zombies(), ward.log))
    assert ward.strangers() == []
