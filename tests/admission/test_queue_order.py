"""Who is admitted, and in which order."""

from __future__ import annotations

import asyncio

from kg2at_personality.admission.request import AdmissionRequest
from kg2at_personality.errors import KernelIdTaken, OutOfBounds, QueueFull
from tests.admission.scene import Scene, refusal, virtual
from tests.fakes.clock import ticks


@virtual
async def test_free_cores_admit_at_once_with_one_poll() -> None:
    scene = Scene()
    await scene.admit("a", 2)
    assert (scene.polls, scene.leases) == (
        [0.0],
        {"a": {"cores": 2, "granted": 0, "given_back": 0, "state": "promised", "app_id": None}},
    )


@virtual
async def test_those_who_come_together_share_a_poll() -> None:
    scene = Scene()
    tasks = [scene.ask(str(number)) for number in range(12)]
    await ticks()
    assert [task.done() for task in tasks] == [True] * 8 + [False] * 4
    assert len(scene.polls) == 1
    await scene.queue.close()


@virtual
async def test_one_poll_an_interval_however_many_wait() -> None:
    scene = Scene(core_poll_interval=2.0)
    await scene.admit("a", 8)
    tasks = [scene.ask(str(number)) for number in range(50)]
    await asyncio.sleep(21.0)
    assert len(tasks) == 50
    assert 10 <= len(scene.polls) <= 13
    await scene.queue.close()


@virtual
async def test_nobody_is_passed() -> None:
    scene = Scene()
    await scene.admit("a", 6)
    big, small = scene.ask("big", 4), scene.ask("small", 1)
    await asyncio.sleep(5.0)
    assert scene.waiting == ["big", "small"]
    late = scene.ask("late", 1)
    scene.queue.release("a")
    await asyncio.sleep(1.0)
    assert all(task.done() and not task.exception() for task in (big, small, late))
    assert list(scene.leases) == ["big", "small", "late"]


async def several(scene: Scene, *names: str) -> dict[str, asyncio.Task[None]]:
    """Ask for a core for each of these, "ann 1" for the first of ann's, one after the other."""
    tasks = {}
    for name in names:
        tasks[name] = scene.ask(name, user=name.split()[0])
        await ticks()
    return tasks


async def served(scene: Scene, first: str, tasks: dict[str, asyncio.Task[None]]) -> list[str]:
    """Let one in after the other, as each holds the only core, and return them in their order."""
    order = [first]
    while scene.waiting:
        scene.queue.release(order[-1])
        await asyncio.sleep(1.0)
        [now] = scene.leases
        order.append(now)
    assert all(task.done() for task in tasks.values())
    return order[1:]


@virtual
async def test_users_take_turns_where_that_is_fair() -> None:
    scene = Scene(workers=(1,), queue_order="fair")
    await scene.admit("first")
    tasks = await several(scene, "ann 1", "ann 2", "ann 3", "ann 4", "bob 1", "bob 2", "eve 1")
    assert scene.waiting == ["ann 1", "bob 1", "eve 1", "ann 2", "bob 2", "ann 3", "ann 4"]
    assert await served(scene, "first", tasks) == ["ann 1", "bob 1", "eve 1", "ann 2", "bob 2", "ann 3", "ann 4"]


@virtual
async def test_who_comes_first_is_first_where_users_take_no_turns() -> None:
    scene = Scene(workers=(1,))
    await scene.admit("first")
    names = ["ann 1", "ann 2", "ann 3", "bob 1", "eve 1", "bob 2"]
    tasks = await several(scene, *names)
    assert scene.waiting == names
    assert await served(scene, "first", tasks) == names


@virtual
async def test_kernels_without_a_user_have_turns_as_one_users() -> None:
    scene = Scene(workers=(1,), queue_order="fair")
    await scene.admit("first")
    tasks = [scene.ask(name, user="") for name in ("1", "2", "3")]
    tasks.append(scene.ask("ann 1", user="ann"))
    await ticks()
    assert scene.waiting == ["1", "ann 1", "2", "3"]
    await scene.queue.close()
    await asyncio.gather(*tasks, return_exceptions=True)


@virtual
async def test_a_turn_is_over_when_the_wait_is() -> None:
    """Who asks for too much again and again holds up each other user once."""
    scene = Scene(queue_order="fair", core_wait_timeout=10.0)
    await scene.admit("first", 4)
    greedy = [scene.ask("ann 1", 8, user="ann")]
    await asyncio.sleep(5.0)
    greedy.append(scene.ask("ann 2", 8, user="ann"))
    small = scene.ask("bob 1", 1, user="bob")
    await asyncio.sleep(4.0)
    assert scene.waiting == ["ann 1", "bob 1", "ann 2"]
    await asyncio.sleep(2.0)
    assert greedy[0].exception() is not None
    assert small.done() and not small.exception()
    assert scene.waiting == ["ann 2"]
    await refusal(greedy[1])


@virtual
async def test_a_place_is_kept_when_another_of_the_users_kernels_goes() -> None:
    scene = Scene(workers=(1,), queue_order="fair")
    await scene.admit("first")
    tasks = await several(scene, "ann 1", "bob 1", "eve 1", "bob 2", "eve 2")
    tasks["bob 1"].cancel()
    await ticks()
    assert scene.waiting == ["ann 1", "bob 2", "eve 1", "eve 2"]
    tasks["ann 1"].cancel()
    await ticks()
    assert scene.waiting == ["bob 2", "eve 1", "eve 2"]
    del tasks["bob 1"], tasks["ann 1"]
    assert await served(scene, "first", tasks) == ["bob 2", "eve 1", "eve 2"]


@virtual
async def test_a_large_request_at_the_head_is_not_passed() -> None:
    scene = Scene(queue_order="fair")
    await scene.admit("first", 6)
    big = scene.ask("big", 8, user="ann")
    await ticks()
    small = await several(scene, "bob 1", "eve 1", "bob 2")
    await asyncio.sleep(5.0)
    assert scene.waiting == ["big", "bob 1", "eve 1", "bob 2"]
    scene.queue.release("first")
    await asyncio.sleep(1.0)
    assert big.done() and not any(task.done() for task in small.values())
    await scene.queue.close()
    await asyncio.gather(*small.values(), return_exceptions=True)


@virtual
async def test_a_queue_full_of_one_users_kernels_is_open_to_another() -> None:
    """The last of the order is refused: here not who comes."""
    scene = Scene(workers=(1,), queue_order="fair", max_queue=3)
    await scene.admit("first")
    tasks = await several(scene, "ann 1", "ann 2", "ann 3", "bob 1")
    assert scene.waiting == ["ann 1", "bob 1", "ann 2"]
    assert "3 notebooks wait for cores already" in str(await refusal(tasks["ann 3"]))
    assert isinstance(await refusal(scene.ask("bob 2", user="bob")), QueueFull)
    eve = scene.ask("eve 1", user="eve")
    await ticks()
    assert scene.waiting == ["ann 1", "bob 1", "eve 1"]
    assert isinstance(await refusal(tasks["ann 2"]), QueueFull)
    assert isinstance(await refusal(scene.ask("joe 1", user="joe")), QueueFull)
    await scene.queue.close()
    await asyncio.gather(eve, *tasks.values(), return_exceptions=True)


@virtual
async def test_who_comes_to_a_full_queue_is_refused_where_users_take_no_turns() -> None:
    scene = Scene(workers=(1,), max_queue=2)
    await scene.admit("first")
    tasks = await several(scene, "ann 1", "ann 2")
    assert isinstance(await refusal(scene.ask("bob 1", user="bob")), QueueFull)
    assert scene.waiting == ["ann 1", "ann 2"]
    await scene.queue.close()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@virtual
async def test_who_is_refused_hears_how_many_are_ahead_in_the_order() -> None:
    scene = Scene(workers=(1,), queue_order="fair", core_wait_timeout=10.0)
    await scene.admit("first")
    tasks = await several(scene, "ann 1", "ann 2", "ann 3")
    impatient = scene.ask("bob 1", user="bob", patience=8.0)
    await ticks()
    assert "; 1 notebook is ahead of you." in str(await refusal(impatient))
    await scene.queue.close()
    await asyncio.gather(*tasks.values(), return_exceptions=True)


@virtual
async def test_a_user_s_own_bound_holds_in_the_place_of_everybodys() -> None:
    scene = Scene(max_cores_per_user=2)
    await scene.admit("ann 1", 4, user="ann", max_cores=5)
    told = await refusal(scene.ask("ann 2", 2, user="ann", max_cores=5))
    assert "the notebooks of ann have or wait for 4 of the 5 that this user may have (max_cores)" in str(told)
    told = await refusal(scene.ask("ann 3", 6, user="ann", max_cores=5))
    assert isinstance(told, OutOfBounds) and "this user may have 5 (max_cores)" in str(told)
    await scene.admit("bob 1", 2, user="bob")
    told = await refusal(scene.ask("bob 2", 1, user="bob"))
    assert "have or wait for 2 of the 2 that a user may have (max_cores_per_user)" in str(told)
    await scene.admit("bob 3", 1, user="bob", max_cores=0)


@virtual
async def test_a_release_lets_the_next_in_at_once() -> None:
    scene = Scene(core_poll_interval=20.0)
    await scene.admit("a", 8)
    task = scene.ask("b", 8)
    await asyncio.sleep(3.0)
    scene.queue.release("a")
    scene.queue.release("a")
    await ticks()
    assert task.done()
    assert list(scene.leases) == ["b"]


@virtual
async def test_no_executors_no_lease_no_poll() -> None:
    scene = Scene()
    await scene.queue.acquire(AdmissionRequest("python", "python3", "ann", None))
    scene.queue.release("python")
    assert (scene.leases, scene.polls) == ({}, [])


@virtual
async def test_off_lets_everybody_pass() -> None:
    scene = Scene(core_check="off")
    await scene.admit("a", 99)
    assert (scene.leases, scene.polls) == ({}, [])


@virtual
async def test_a_kernel_id_never_has_two_leases() -> None:
    scene = Scene()
    await scene.admit("a", 8)
    assert isinstance(await refusal(scene.ask("a")), KernelIdTaken)
    first, second = scene.ask("b"), scene.ask("b")
    assert isinstance(await refusal(second), KernelIdTaken)
    assert not first.done()
    assert scene.waiting == ["b"]
    await scene.queue.close()
