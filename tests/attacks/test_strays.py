"""A child of a kernel that left its process group, as by setsid, ends with its kernel."""

from __future__ import annotations

import logging
import os
import signal
from typing import Any

import pytest

from kg2at_personality.errors import KernelIdTaken
from kg2at_personality.kernels import kernel_processes
from kg2at_personality.kernels.kernel_processes import KernelProcess
from kg2at_personality.system.processes import started_at
from tests.fakes.gateways import ID, OTHER, Gateways, answering, code_of, json_of, kernel_of, listed
from tests.fakes.processes import runs
from tests.fakes.wait import until

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.usefixtures("ipykernel")]
LOG = logging.getLogger("tests.strays")
#: A cell with a child that leaves the kernel's group, and one that forgets whose it is, too.
LEAVE = """
import os, subprocess
def leave(**env): return subprocess.Popen(["sleep", "60"], start_new_session=True, env=os.environ | env).pid
print(leave(), leave(KERNEL_ID=""))
"""


async def leaving(gateways: Gateways, client: Any, kernel_id: str) -> tuple[int, int]:
    """Return the children that left a kernel's group: one that has its KERNEL_ID, and one that has none."""
    stray, free = map(int, (await client.run(kernel_id, LEAVE)).split())
    gateways.processes += [process(free)]
    await until(lambda: all(os.getpgid(pid) == pid for pid in (stray, free)), "their leave")
    return stray, free


def process(pid: int) -> Any:
    import psutil

    return psutil.Process(pid)


async def test_it_ends_at_its_kernels_delete_and_only_there(gateways: Gateways) -> None:
    client = await gateways.open()
    kernel_id, other = await client.start(), await client.start()
    stray, free = await leaving(gateways, client, kernel_id)
    others, _ = await leaving(gateways, client, other)
    await client.app.kernel_manager.restart_kernel(kernel_id)
    await kernel_of(client, kernel_id).answered()
    assert runs(stray), "a restart goes on with what the kernel had begun"
    assert await code_of(client, "DELETE", kernel_id) == 204
    assert not runs(stray) and runs(free) and runs(others)
    assert await client.run(other, "print(6 * 7)") == "42\n"
    assert (await json_of(client, "/kg2at/status"))["zombies"] == []


async def test_it_ends_with_a_kernel_that_was_taken_over(gateways: Gateways) -> None:
    kernel_id, _ = await answering(gateways)
    client = await gateways.open()
    stray, free = await leaving(gateways, client, kernel_id)
    assert await code_of(client, "DELETE", kernel_id) == 204
    assert not runs(stray) and runs(free)


async def test_it_ends_when_its_kernel_died_meanwhile(gateways: Gateways) -> None:
    kernel_id, pid = await answering(gateways, LEAVE)
    [stray] = [found.pid for found in kernel_processes.find_of(kernel_id, mark(gateways)) if is_sleep(found)]
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not runs(pid), "its death")
    client = await gateways.open()
    assert not runs(stray) and await listed(client) == []


def mark(gateways: Gateways) -> dict[str, str]:
    return {name: value for name, value in gateways.marked().items() if name != "KERNEL_ID"}


def is_sleep(found: KernelProcess) -> bool:
    return bool(process(found.pid).name() == "sleep")


async def test_whoever_has_another_kernels_id_or_another_gateways_is_not_found(gateways: Gateways) -> None:
    [(name, value)] = mark(gateways).items()
    for env in ({"KERNEL_ID": ID, name: value + "x"}, {"KERNEL_ID": ID + "0", name: value}, {"X": f"KERNEL_ID={ID}"}):
        gateways.processes.append(await gateways.run("sleep", "60", env=env))
    assert kernel_processes.find_of(ID, {name: value}) == []
    own = await gateways.run("sleep", "60", env={"KERNEL_ID": ID, name: value})
    gateways.processes.append(own)
    assert [found.pid for found in kernel_processes.find_of(ID, {name: value})] == [own.pid]
    assert kernel_processes.find_of(OTHER, {name: value}) == []


async def test_one_that_may_not_be_signalled_is_told_and_its_id_not_given_again(
    gateways: Gateways, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await gateways.open()
    kernel_id = await client.start()
    stray, _ = await leaving(gateways, client, kernel_id)
    kill = os.kill

    def refuse(pid: int, signum: int) -> None:
        if pid == stray and signum == signal.SIGKILL:
            raise PermissionError(1, "Operation not permitted")
        kill(pid, signum)

    monkeypatch.setattr(os, "kill", refuse)
    assert await code_of(client, "DELETE", kernel_id) == 204
    [zombie] = (await json_of(client, "/kg2at/status"))["zombies"]
    assert zombie["kernel_id"] == kernel_id and runs(stray)
    # The next end of the old one would be that of the new one.
    with pytest.raises(KernelIdTaken, match="Choose another id"):
        await client.app.kernel_manager.start_kernel(kernel_name="python3", kernel_id=kernel_id)
    monkeypatch.undo()
    await until(lambda: not client.app.kernel_manager.zombies.status(), "its end")
    assert not runs(stray)


async def test_whoever_has_its_pid_by_then_is_not_touched(gateways: Gateways) -> None:
    stranger = await gateways.run("sleep", "60")
    gateways.processes.append(stranger)
    began = started_at(stranger.pid)
    assert began is not None
    looks = iter([[KernelProcess(stranger.pid, stranger.pid, ID, began - 1000, is_kernel=False)], []])
    assert await kernel_processes.kill_all(lambda: next(looks), LOG) and runs(stranger.pid)
