"""How long cells take, through a gateway and by a client that talks to the kernel itself."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from jupyter_client.blocking.client import BlockingKernelClient

from tests.bench.bench import KERNEL, Bench
from tests.bench.measured_gateway import DEATH_LIMIT, ended
from tests.bench.quantities import BURST, SIDES, CannotMeasure
from tests.fakes.channels import Channels

#: A cell that does and shows nothing, by the kind of kernel.
NOTHING = {"python3": "", KERNEL: "()"}
#: How many cells a kernel runs before any is measured.
WARM = 10
BURST_CODE = f"for n in range({BURST}): display(n)"


def cells(bench: Bench, rounds: int) -> None:
    """How long a cell takes that does nothing, from its request to its reply and idle status."""
    with ExitStack() as stack:
        notebooks = {side: _notebook(bench, stack, side, "python3") for side in SIDES}
        for _ in range(rounds):
            for side, (_, channels) in notebooks.items():
                with bench.samples.timed("small", side):
                    channels.run(NOTHING["python3"])
        _beside_direct(bench, "python", rounds, *notebooks["kg2at"], NOTHING["python3"])
        _beside_direct(bench, "toree", rounds, *_notebook(bench, stack, "kg2at", KERNEL), NOTHING[KERNEL])


def _notebook(bench: Bench, stack: ExitStack, side: str, name: str) -> tuple[Path, Channels]:
    """A kernel's connection file, and a notebook that has run a cell on it."""
    gateway = stack.enter_context(ended(bench.gateway(side)))
    gateway.start()
    kernel_id = gateway.start_kernel(name)
    channels = gateway.connect(kernel_id)
    stack.callback(channels.close)
    for _ in range(WARM):
        channels.run("1 + 1")
    return gateway.runtime / f"kernel-{kernel_id}.json", channels


def _beside_direct(bench: Bench, quantity: str, rounds: int, connection: Path, channels: Channels, code: str) -> None:
    client = BlockingKernelClient(connection_file=str(connection))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=DEATH_LIMIT)
        for _ in range(rounds):
            with bench.samples.timed(quantity, "direct"):
                client.execute_interactive(code, timeout=DEATH_LIMIT)
            with bench.samples.timed(quantity, "kg2at"):
                channels.run(code)
    finally:
        client.stop_channels()


def bursts(bench: Bench, rounds: int) -> None:
    """How long it takes until a notebook has all of what a cell shows in one go."""
    with ExitStack() as stack:
        notebooks = {side: _notebook(bench, stack, side, "python3") for side in SIDES}
        for _ in range(rounds):
            for side, (_, channels) in notebooks.items():
                with bench.samples.timed("burst", side):
                    result = channels.run(BURST_CODE)
                if len(result.messages) < BURST:
                    raise CannotMeasure(f"A notebook got {len(result.messages)} of {BURST} outputs from {side}.")
