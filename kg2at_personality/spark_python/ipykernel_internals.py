"""The private names of ipykernel that the kernel uses."""

from __future__ import annotations

import sys


def log_descriptors() -> dict[str, int]:
    """Return the kernel's own `stdout` and `stderr`; without those that ipykernel's streams have not replaced.

    OutStream of ipykernel 6 and later has descriptors 1 and 2 lead into the notebook, and keeps copies.
    """
    streams = {name: getattr(getattr(sys, name), "_original_stdstream_copy", None) for name in ("stdout", "stderr")}
    return {name: descriptor for name, descriptor in streams.items() if isinstance(descriptor, int)}
