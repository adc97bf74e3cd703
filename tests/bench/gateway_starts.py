"""How long gateways take to start."""

from __future__ import annotations

from tests.bench.bench import Bench
from tests.bench.measured_gateway import Measured, dying, ended, note, used_kernel
from tests.bench.quantities import ADOPTED, CannotMeasure


def starts(bench: Bench, rounds: int) -> None:
    """How long a gateway takes to answer GET /api."""
    for gateway, side in bench.in_turn(rounds):
        with bench.samples.timed("start", side):
            gateway.start()
        gateway.stop()
        if (status := gateway.process and gateway.process.returncode) not in (0, -15):
            raise CannotMeasure(f"The {side} gateway ended with {status}:\n{gateway.log}")


def adoptions(bench: Bench, rounds: int) -> None:
    """How long kg2at takes from its start to its list of kernels: with none, and with those it adopts."""
    for number in range(rounds):
        note(f"round {number + 1} of {rounds}")
        with ended(bench.gateway("kg2at")) as gateway:
            _start_with(bench, gateway, "none")
            kernel_ids = [used_kernel(gateway, "python3", "kept = 6 * 7") for _ in range(ADOPTED["twenty"])]
            # They are no children of the gateway that adopts them.
            with dying(gateway.children()), ended(gateway):
                gateway.kill()
                _start_with(bench, gateway, "twenty")
                channels = gateway.connect(kernel_ids[0])
                if "42" not in (result := channels.run("kept")).text:
                    raise CannotMeasure(f"An adopted kernel lost its variable: {result}\n{gateway.log}")
                channels.close()


def _start_with(bench: Bench, gateway: Measured, side: str) -> None:
    with bench.samples.timed("adoption", side):
        gateway.start()
        listed = gateway.request("GET", "/api/kernels").body
    if len(listed) != ADOPTED[side]:
        raise CannotMeasure(f"The gateway lists {len(listed)} kernels, not {ADOPTED[side]}:\n{gateway.log}")
