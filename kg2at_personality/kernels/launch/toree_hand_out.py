"""How a Toree that waits takes what is its user's, and what it runs until then."""

from __future__ import annotations

from ..files import KernelFiles

_RECEIVER = """val _ = {
  kernel.comm.register("kg2at.hand_out")
}"""
WARM_CELLS = ("val _ = { 1 + 1 }",)


def receiver(files: KernelFiles) -> str:
    return _RECEIVER
