"""kg2at: a Jupyter Kernel Gateway personality that serves kernels on Spark, Toree's and Python's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .personality import KG2ATPersonality

__version__ = "0.1.0"


def create_personality(*args: Any, **kwargs: Any) -> KG2ATPersonality:
    """Build the personality. Kernel Gateway calls this with `parent` and `log` (gatewayapp.py, init_configurables)."""
    from .personality import KG2ATPersonality

    return KG2ATPersonality(*args, **kwargs)
