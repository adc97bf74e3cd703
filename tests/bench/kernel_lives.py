"""What a kernel costs from its POST to its end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.bench.bench import DEFAULTS, KERNEL, Bench
from tests.bench.measured_gateway import Measured, check_deleted, dying, ended, has_ended, note, used_kernel, wait_until
from tests.bench.quantities import SIDES, STOPPED, CannotMeasure


def posts(bench: Bench, rounds: int) -> None:
    """How long POST takes, which answers when the process is spawned, without and with an environment."""
    _post(bench, {"post": {}, "post_env": {"env": {}}}, rounds, DEFAULTS)


def admissions(bench: Bench, rounds: int) -> None:
    """The same on a standalone cluster with free cores, where kg2at asks the master first."""
    with bench.cluster("admissions") as (_, defaults):
        _post(bench, {"admission": {}}, rounds, defaults)


def _post(bench: Bench, bodies: dict[str, dict[str, Any]], rounds: int, defaults: str) -> None:
    """Time POSTs with each of `bodies` (quantity -> body), each kernel ended before the next."""
    with ExitStack() as stack:
        gateways = {side: stack.enter_context(ended(bench.gateway(side, defaults))) for side in SIDES}
        for gateway in gateways.values():
            gateway.start()
        for number in range(rounds):
            for quantity, body in bodies.items():
                for side, gateway in gateways.items():
                    note(f"round {number + 1} of {rounds}, {side}")
                    with bench.samples.timed(quantity, side):
                        kernel_id = gateway.start_kernel(KERNEL, **body)
                    with dying(gateway.children()):
                        gateway.delete(kernel_id)


def lives(bench: Bench, rounds: int) -> None:
    """A kernel's life from POST to DELETE, each in a fresh gateway."""
    for gateway, side in bench.in_turn(rounds):
        gateway.start()
        with bench.samples.timed("ready", side):
            kernel_id = gateway.start_kernel(KERNEL)
            channels = gateway.connect(kernel_id)
            reply = channels.ask("kernel_info_request", {})
        with bench.samples.timed("cell", side):
            result = channels.run("1 + 1")
        if reply.get("status", "ok") != "ok" or "2" not in result.text:
            raise CannotMeasure(f"The {side} gateway's kernel did not add 1 and 1: {result}\n{gateway.log}")
        bench.samples.add("memory", side, gateway.memory())
        channels.close()
        with dying(gateway.children()), bench.samples.timed("delete", side):
            gateway.delete(kernel_id)


def stops(bench: Bench, rounds: int) -> None:
    """How long it takes until nothing is left of a kernel, and how well kg2at ends many at the same time."""
    _stop(bench, rounds)
    _stop_side_by_side(bench, rounds // 2)


def _stop(bench: Bench, rounds: int) -> None:
    """Stop kernels that hold a core of a cluster."""
    bench.on_cluster("stops", SIDES, rounds, _stop_one)


def _stop_one(bench: Bench, gateway: Measured, side: str, cluster: StandaloneCluster) -> None:
    kernel_id = used_kernel(gateway, KERNEL, "sc.parallelize(1 to 10).sum")
    wait_until(lambda: cluster.state()["coresused"] == 1, "The master did not show the kernel's core")
    processes = gateway.children()
    with dying(processes), ThreadPoolExecutor() as pool:
        with bench.samples.timed("stop", side):
            answer = pool.submit(gateway.delete, kernel_id)
            wait_until(
                lambda: cluster.state()["coresused"] == 0 and answer.done() and all(map(has_ended, processes)),
                f"The {side} gateway's kernel did not end, or the master still has its core",
            )
        check_deleted(gateway, [answer.result()])


def _stop_side_by_side(bench: Bench, rounds: int) -> None:
    """Stop one kernel of a kg2at that has no other, and eight at the same time."""
    with ended(bench.gateway("kg2at")) as gateway:
        gateway.start()
        for number in range(rounds):
            for side, count in STOPPED.items():
                note(f"round {number + 1} of {rounds}, {side}")
                kernel_ids = [used_kernel(gateway, KERNEL, "1 + 1") for _ in range(count)]
                with dying(gateway.children()), ThreadPoolExecutor(count) as pool:
                    with bench.samples.timed("stops", side):
                        answers = list(pool.map(gateway.delete, kernel_ids))
                    check_deleted(gateway, answers)
