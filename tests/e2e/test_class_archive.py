"""The archive of a Toree's classes: made by itself beside a gateway that may die, used, passed over when damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.fakes.gateway_process import Gateway, defaults_on
from tests.fakes.processes import runs
from tests.fakes.wait import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
#: Seconds in which one is made on a busy machine; it begins 20 s after a start.
LIMIT = 400
#: Arguments of a JVM: that writes one, and that uses one.
WRITES, USES = "-XX:ArchiveClassesAtExit=", "-XX:SharedArchiveFile="


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def gateway(cluster: StandaloneCluster, tmp_path: Path, cache: Path) -> Iterator[Gateway]:
    defaults = defaults_on(cluster, "spark.ui.enabled false", "spark.cores.max 1")
    with Gateway(tmp_path, environ={"KG2AT_CACHE_DIR": str(cache)}, defaults=defaults) as running:
        yield running


def jvms(option: str, cache: Path) -> list[psutil.Process]:
    """Return the JVMs with this option for an archive in `cache`; not the shell that is about to become one."""
    found = [each for each in psutil.process_iter(["cmdline", "name"]) if each.info["name"] == "java"]
    return [each for each in found if any(f"{option}{cache}" in part for part in each.info["cmdline"] or [])]


def test_one_is_made_and_used_and_a_damaged_one_is_not(gateway: Gateway, cache: Path) -> None:
    ids = [gateway.start_kernel()]
    assert gateway.connect(ids[0]).run("1 + 1").text.endswith("2")

    [at_work, *_] = wait_until(lambda: jvms(WRITES, cache), "a JVM that writes one", LIMIT)
    assert at_work.nice() == 10
    gateway.kill()
    wait_until(lambda: not runs(at_work.pid), "its end with its gateway")
    gateway.start()
    assert not list(cache.glob("*.jsa")) and gateway.delete(ids.pop()) == 204

    ids.append(gateway.start_kernel())
    assert not jvms(USES, cache)
    wait_until(lambda: "Toree kernels start sooner from now on" in gateway.log, lambda: gateway.log, LIMIT)
    assert list(cache.glob("*.sum"))
    [archive] = wait_until(lambda: not jvms(WRITES, cache) and list(cache.glob("*.jsa*")), "the JVM's end")

    ids.append(gateway.start_kernel())
    notebook = gateway.connect(ids[-1])
    [user] = wait_until(lambda: len(found := jvms(USES, cache)) == 1 and found, "one JVM that uses it")
    assert str(archive) in {each.path for each in user.memory_maps()}, "the JVM has taken it"
    assert "5050" in notebook.run("println(sc.parallelize(1 to 100).sum().toInt)").text
    assert gateway.delete(ids.pop()) == 204

    with open(archive, "r+b") as file:
        file.seek(archive.stat().st_size // 2)
        file.write(b"damage")
    ids.append(gateway.start_kernel())
    assert "42" in gateway.connect(ids[-1]).run("println(6 * 7)").text and not jvms(USES, cache)
    assert [gateway.delete(kernel_id) for kernel_id in ids] == [204, 204]
