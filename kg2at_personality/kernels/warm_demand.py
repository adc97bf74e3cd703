"""Which kernels are to wait for users, by the settings and by what is offered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from .launch.launcher import Launcher
from .specs import SparkKernelSpecManager


@dataclass(frozen=True)
class WarmOptions:
    """The settings warm_kernels (None: one of the default kernel), warm_max_age (s) and warm_memory_reserve (MiB)."""

    kernels: Mapping[str, int] | None = None
    max_age: float = 0.0
    memory_reserve: int = 0


class DemandHost(Protocol):
    """A manager, as WarmDemand sees it. `usual_name` is the kernelspec of those who name none."""

    launcher: Launcher
    kernel_spec_manager: SparkKernelSpecManager

    @property
    def usual_name(self) -> str: ...


class WarmDemand:
    """Follows the default kernel, which may become another one."""

    def __init__(self, host: DemandHost, options: WarmOptions) -> None:
        self._host, self.options = host, options

    def counts(self) -> dict[str, int]:
        """Return how many are to wait of each kernelspec. Blocking until kernelspecs have been looked at once."""
        wanted = self.options.kernels
        if self._is_eager:
            return {}
        if wanted is None:
            wanted = {self._host.usual_name: 1}
        own = self._host.kernel_spec_manager.own
        return {name: count for name, count in wanted.items() if count and name.lower() in own}

    def why_none(self) -> str:
        """Return why none is to wait; "" when some are."""
        if self.counts():
            return ""
        if self._is_eager:
            return "spark_context is eager: a kernel that waits would hold cores of the cluster"
        if self.options.kernels is None:
            return f"the default kernel, {self._host.usual_name}, is not one of kg2at's"
        return "warm_kernels names none"

    def warnings(self) -> list[str]:
        """Return what is told once, when the gateway begins: a sentence each."""
        unknown = self._host.kernel_spec_manager.why_unknown(self.options.kernels or {})
        none = self.why_none() if self.options.kernels != {} else ""
        return [*filter(None, [unknown, none and f"No kernel waits for a user: {none}."])]

    @property
    def _is_eager(self) -> bool:
        return self._host.launcher.options.spark_context == "eager"
