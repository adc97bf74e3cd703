"""A Python kernel's way to its first answer of Spark."""

from __future__ import annotations

from kg2at_personality.spark.standalone import StandaloneCluster
from tests.bench.bench import PYTHON, Bench
from tests.bench.measured_gateway import Measured, dying, wait_until
from tests.bench.quantities import LIKE_EG, CannotMeasure

FIRST = "spark.range(1000).count()"


def python(bench: Bench, rounds: int) -> None:
    """A Python kernel's life on a cluster, to its first answer of Spark, in a gateway for each side."""
    bench.on_cluster("python", LIKE_EG, rounds, _python)


def _python(bench: Bench, gateway: Measured, side: str, cluster: StandaloneCluster) -> None:
    """The first cell is sent as soon as the kernel is ready; the memory before is seen on the way."""
    with bench.samples.timed("python_first", side):
        with bench.samples.timed("python_ready", side):
            kernel_id = gateway.start_kernel(PYTHON)
            channels = gateway.connect(kernel_id)
            channels.ask("kernel_info_request", {})
        bench.samples.add("python_unused", side, gateway.kernel_memory())
        result = channels.run(FIRST)
    bench.samples.add("python_used", side, gateway.kernel_memory())
    channels.close()
    if "1000" not in result.text:
        raise CannotMeasure(f"The {side} gateway's kernel did not count: {result}\n{gateway.log}")
    with dying(gateway.children()):
        gateway.delete(kernel_id)
    wait_until(lambda: cluster.state()["coresused"] == 0, "The master still has a kernel's core")
