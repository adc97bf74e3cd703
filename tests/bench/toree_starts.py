"""How soon a Toree answers, and whether what makes it answer sooner makes its users' own code slower."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.bench.bench import KERNEL, Bench
from tests.bench.measured_gateway import Measured, dying, ended, note, wait_until
from tests.bench.quantities import COLD, HERD, ONE_WAITS, SIDES, USERS, WARM, CannotMeasure
from tests.fakes.channels import Channels

JOB, RESULT = "sc.parallelize(1 to 100).sum()", "5050.0"
#: Computes and allocates for some seconds on one core; the same in a Toree and in an executor.
WORK = """
def work(rounds: Int): Long = {
  val seen = new java.util.HashMap[String, java.lang.Long]()
  var (sum, i) = (0L, 0)
  while (i < rounds) {
    val word = (i * 31L % 200003).toString
    sum = sum * 31 + word.hashCode
    if (i % 4 == 0) seen.put(word, sum)
    i += 1
  }
  sum + seen.size
}
"""
ROUNDS = 40_000_000
HEAVY = {"driver": f"println(work({ROUNDS}))", "executor": f"println(sc.parallelize(Seq({ROUNDS}), 1).map(work).sum)"}
#: Seconds within which a kernel waits for users, and within which what is made once for a machine is there.
WARM_LIMIT, CACHE_LIMIT = 180.0, 180.0


def warm(bench: Bench, rounds: int) -> None:
    """A Toree's life on a cluster, to its second answer of Spark: stock, started by kg2at, and one that had waited."""
    fill_cache(bench)
    bench.on_cluster("warm", ("stock", COLD, WARM), rounds, _start, settle)


def _start(bench: Bench, gateway: Measured, side: str, cluster: StandaloneCluster) -> None:
    """The first cell is sent as soon as the kernel is ready; the memory before is seen on the way."""
    with bench.samples.timed("toree_first", side):
        with bench.samples.timed("toree_ready", side):
            kernel_id, channels = ready_kernel(gateway)
        bench.samples.add("toree_memory", side, gateway.toree_memory(kernel_id))
        first = channels.run(JOB)
    with bench.samples.timed("toree_next", side):
        second = channels.run(JOB)
    channels.close()
    if not all(RESULT in result.text for result in (first, second)):
        raise CannotMeasure(f"The {side} gateway's kernel did not add: {first} {second}\n{gateway.log}")
    end(gateway, kernel_id)
    wait_until(lambda: cluster.state()["coresused"] == 0, "The master still has a kernel's core")


def ready_kernel(gateway: Measured) -> tuple[str, Channels]:
    """Start a Toree; its id, and a notebook that it has answered."""
    kernel_id = gateway.start_kernel(KERNEL)
    channels = gateway.connect(kernel_id)
    channels.ask("kernel_info_request", {})
    return kernel_id, channels


def end(gateway: Measured, kernel_id: str) -> None:
    with dying(gateway.processes_of(kernel_id)):
        gateway.delete(kernel_id)


def settle(gateway: Measured, side: str) -> None:
    """Wait until a kernel waits for users, where one is to wait. It is started when the last user's is ready."""
    if side in (WARM, ONE_WAITS):
        wait_until(lambda: waits(gateway), "No kernel waits for users", WARM_LIMIT)


def waits(gateway: Measured) -> bool:
    """Whether one waits."""
    waiting = gateway.request("GET", "/kg2at/status").body["warm"]["kernels"]
    return [kernel["state"] for kernel in waiting] == ["ready"]


def fill_cache(bench: Bench) -> None:
    """Have kg2at make what it makes once for a machine, in the background after a first start."""
    with ended(bench.gateway(COLD)) as gateway:
        gateway.start()
        note("the first start on a machine")
        kernel_id, channels = ready_kernel(gateway)
        channels.close()
        try:
            wait_until(lambda: any(bench.cache.rglob("*.sum")), "No archive of Java's classes was made", CACHE_LIMIT)
        except CannotMeasure as error:
            print(f"{error} The starts are measured without.", file=sys.stderr)
        end(gateway, kernel_id)


def herd(bench: Bench, rounds: int) -> None:
    """When each of many is ready who ask at once: with no kernel that waits, and with one."""
    with ExitStack() as stack:
        gateways = {side: stack.enter_context(ended(bench.gateway(side))) for side in HERD}
        for side, gateway in gateways.items():
            gateway.start()
            settle(gateway, side)
        for number in range(rounds):
            for side, gateway in gateways.items():
                note(f"round {number + 1} of {rounds}, {side}")
                for which, milliseconds in zip(("first", "", "middle", "", "", "last"), _come(gateway), strict=True):
                    if which:
                        bench.samples.add(f"herd_{which}", side, milliseconds)
                settle(gateway, side)


def _come(gateway: Measured) -> list[float]:
    """Have all users come at once; the ms after which each has a kernel that answers, the first of them first."""
    began = time.perf_counter()

    def one(_: int) -> tuple[float, str]:
        kernel_id, channels = ready_kernel(gateway)
        after = time.perf_counter() - began
        channels.close()
        return after * 1000, kernel_id

    with ThreadPoolExecutor(USERS) as pool:
        came = list(pool.map(one, range(USERS)))
    for _, kernel_id in came:
        end(gateway, kernel_id)
    return sorted(after for after, _ in came)


def heavy(bench: Bench, rounds: int) -> None:
    """Code that computes for seconds, in the driver and in an executor: one notebook of each side, in turn."""
    bench.on_cluster("heavy", SIDES, rounds, partial(_compute, {}))


def _compute(
    notebooks: dict[str, Channels], bench: Bench, gateway: Measured, side: str, cluster: StandaloneCluster
) -> None:
    if side not in notebooks:
        _, notebooks[side] = ready_kernel(gateway)
        notebooks[side].run(JOB)
    for where, code in HEAVY.items():
        with bench.samples.timed(where, side):
            result = notebooks[side].run(WORK + code)
        if result.reply["status"] != "ok":
            raise CannotMeasure(f"The {side} gateway's kernel did not compute: {result}\n{gateway.log}")
