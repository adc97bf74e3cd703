"""A kernel prints without end, and whatever becomes of the gateway: its log keeps its bound, and the kernel goes on."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from kg2at_personality.kernels import log_writer
from kg2at_personality.kernels.log_writer import CUT, add
from tests.fakes.gateways import Gateways, kernel_of
from tests.fakes.processes import runs
from tests.fakes.wait import until

LIMIT = 100_000
#: Half of it is kept, but for a line: so large is a log at least when each piece that comes fills a pipe.
KEPT = LIMIT // 2 - 2 * len(CUT)
BOUNDED = {"KG2ATPersonality": {"max_kernel_log_size": LIMIT}}
#: A cell that prints past ipykernel, and sees how large the log gets. (Within pytest, ipykernel leaves descriptor 1.)
FLOOD = """
import os, sys
written, largest = 0, 0
while written < 20_000_000:
    written += os.write(1, b"%07d flood\\n" % written * 500)
    largest = max(largest, os.stat({log!r}).st_size)
print(largest)
"""
#: A kernel that dies at once, and says why.
DIES = 'import sys; print("password=hush"); sys.exit("Error: no such thing, password=hush\\n" + "  usage\\n" * 99)'


def writers(kernel_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if any(part.endswith("log_writer.py") for part in process.cmdline()):
                found += [process] * (process.environ().get("KERNEL_ID") == kernel_id)
        except psutil.Error:
            pass
    return [process for process in found if runs(process.pid)]


class TestWriter:
    @pytest.fixture
    def log(self, tmp_path: Path) -> Iterator[int]:
        descriptor = os.open(tmp_path / "log", os.O_RDWR | os.O_CREAT)
        yield descriptor
        os.close(descriptor)

    @pytest.mark.parametrize("limit", [120, 1000, 4096, 200_000])
    def test_it_keeps_the_bound_at_each_write_and_the_newest_whole_lines(self, log: int, limit: int) -> None:
        rng, number = random.Random(limit), 0
        for _ in range(100):
            data = b"".join(b"line %08d\n" % (number := number + 1) for _ in range(rng.choice([1, 3, 50, 700])))
            add(log, data, limit)
            text = os.pread(log, 10**7, 0)
            assert len(text) <= limit and b"\0" not in text
            lines = text.removeprefix(CUT).splitlines(keepends=True)
            first = number - len(lines) + 1
            assert lines == [b"line %08d\n" % each for each in range(first, number + 1)]
            # Half of the bound is kept, but for a line.
            assert len(text) >= min(limit // 2 - 2 * len(CUT), 14 * number)

    def test_a_line_longer_than_all_keeps_its_end(self, log: int) -> None:
        for _ in range(50):
            add(log, b"x" * 777, 2000)
            add(log, b"end", 2000)
            text = os.pread(log, 10**7, 0)
            assert len(text) <= 2000 and text.endswith(b"xend")

    def test_half_a_line_that_was_cut_is_not_shown(self, log: int) -> None:
        """Half a secret is nothing that anybody would blot out."""
        add(log, b"a" * 500 + b"password=swordfish\nwent wrong\n", 1000)
        add(log, b"and on\n" * 100, 1000)
        add(log, b"and on\n" * 60, 1000)
        assert b"swordf" not in os.pread(log, 10**7, 0) and b"ish\n" not in os.pread(log, 10**7, 0)

    def test_who_empties_it_leaves_no_hole(self, log: int) -> None:
        add(log, b"before\n" * 100, 5000)
        os.ftruncate(log, 0)
        add(log, b"after\n", 5000)
        assert os.pread(log, 100, 0) == b"after\n"

    def run(self, log: int, limit: int = LIMIT) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-I", "-S", log_writer.__file__, str(limit)]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log)

    def test_it_ends_when_nobody_can_print_any_more(self, log: int) -> None:
        writer = self.run(log)
        writer.communicate(b"word\n" * 1_000_000, timeout=60)
        assert writer.returncode == 0 and LIMIT // 3 < os.fstat(log).st_size <= LIMIT

    def test_a_full_disk_stops_nobody(self) -> None:
        full = os.open("/dev/full", os.O_RDWR)
        try:
            writer = self.run(full)
            writer.communicate(b"word\n" * 200_000, timeout=60)
            assert writer.returncode == 0
        finally:
            os.close(full)


@pytest.mark.gen_test(timeout=90)
@pytest.mark.usefixtures("ipykernel")
async def test_the_log_of_a_flooding_kernel_keeps_its_bound_beyond_its_gateway(gateways: Gateways, capfd: Any) -> None:
    first = await gateways.open(**BOUNDED)
    kernel_id = await first.start()
    log = gateways.connection_file(kernel_id).with_suffix(".log")
    flood = FLOOD.format(log=str(log))
    assert KEPT < int(await first.run(kernel_id, flood)) <= LIMIT
    assert log.stat().st_mode & 0o777 == 0o600
    assert b"0 flood" in log.read_bytes() and "0 flood" not in "".join(capfd.readouterr()), (
        "it is not the gateway's output"
    )
    [writer] = writers(kernel_id)
    pid = kernel_of(first, kernel_id).pid
    await until(lambda: gateways.record(kernel_id).info, "its answer in its record")
    await gateways.kill(first)

    second = await gateways.open(**BOUNDED)
    # Whoever printed to a pipe that nobody reads would hang, or die.
    assert KEPT < int(await second.run(kernel_id, flood)) <= LIMIT
    assert kernel_of(second, kernel_id).pid == pid and writers(kernel_id) == [writer]
    assert (await second.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
    await until(lambda: not runs(writer.pid), "the writer's end")
    assert not log.exists() and gateways.files() == []


@pytest.mark.gen_test(timeout=60)
@pytest.mark.usefixtures("ipykernel")
async def test_signals_for_the_kernels_group_are_not_for_its_writer(gateways: Gateways) -> None:
    gateway = await gateways.open(**BOUNDED)
    kernel_id = await gateway.start()
    kernel = kernel_of(gateway, kernel_id)
    await kernel.answered()
    [writer] = writers(kernel_id)
    assert os.getpgid(writer.pid) not in (kernel.group, os.getpgrp())
    for _ in range(2):
        await kernel.interrupt_kernel()
    assert await gateway.run(kernel_id, "print(6 * 7)") == "42\n" and runs(writer.pid)


@pytest.mark.gen_test(timeout=60)
@pytest.mark.usefixtures("ipykernel")
async def test_a_restart_has_a_writer_and_a_log_of_its_own(gateways: Gateways) -> None:
    gateway = await gateways.open(**BOUNDED)
    kernel_id = await gateway.start()
    log = gateways.connection_file(kernel_id).with_suffix(".log")
    await gateway.run(kernel_id, "import os, sys; os.write(1, b'the first\\n')")
    await until(lambda: "the first" in log.read_text(), "its output")
    [writer] = writers(kernel_id)
    await gateway.app.kernel_manager.restart_kernel(kernel_id)
    await kernel_of(gateway, kernel_id).answered()
    await until(lambda: not runs(writer.pid), "the old writer's end")
    assert len(writers(kernel_id)) == 1 and "the first" not in log.read_text()


@pytest.mark.gen_test(timeout=60)
@pytest.mark.usefixtures("ipykernel")
async def test_without_a_bound_there_is_no_writer(gateways: Gateways) -> None:
    gateway = await gateways.open(KG2ATPersonality={"max_kernel_log_size": 0})
    kernel_id = await gateway.start()
    log = gateways.connection_file(kernel_id).with_suffix(".log")
    # With what ipykernel itself says at its start.
    assert int(await gateway.run(kernel_id, FLOOD.format(log=str(log)))) >= 20_000_000
    assert writers(kernel_id) == []


@pytest.mark.gen_test(timeout=60)
async def test_a_python_kernel_that_dies_says_why_without_secrets(gateways: Gateways) -> None:
    spec = {"argv": [sys.executable, "-c", DIES, "{connection_file}"], "display_name": "dies", "language": "python"}
    directory = gateways.spark.root / "DATA" / "kernels" / "dies"
    directory.mkdir(parents=True)
    (directory / "kernel.json").write_text(json.dumps(spec))
    gateway = await gateways.open(**BOUNDED)
    kernel_id = await gateway.start(name="dies")
    kernel = kernel_of(gateway, kernel_id)
    await until(lambda: kernel.is_dead, "its death")
    said = kernel.reason.splitlines()
    assert said[0] == "The kernel died before it answered (exit status 1). Its last lines:"
    assert said[1] == "Error: no such thing, password=*********(redacted)" and "hush" not in kernel.reason
    assert writers(kernel_id) == []


@pytest.mark.gen_test(timeout=60)
async def test_a_kernel_whose_writer_was_killed_goes_on(gateways: Gateways) -> None:
    gateway = await gateways.open(**BOUNDED)
    kernel_id = await gateway.start()
    await kernel_of(gateway, kernel_id).answered()
    [writer] = writers(kernel_id)
    writer.send_signal(signal.SIGKILL)
    await until(lambda: not runs(writer.pid), "the writer's end")
    code = "import os, sys\ntry: os.write(1, b'x')\nexcept OSError as e: print(e.errno)"
    assert await gateway.run(kernel_id, code) == "32\n"
