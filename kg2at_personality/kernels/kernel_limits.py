"""How many kernels there may be: of all users together (max_kernels), and of each (max_kernels_per_user)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from ..errors import TooManyKernels
from ..plural import counted
from .kernel import GatewayKernel
from .start import Start
from .user import ADMINISTRATOR, GatewayUser


class LimitHost(Protocol):
    """A manager, as the limits of its kernels see it."""

    max_kernels_per_user: int

    def __contains__(self, kernel_id: str) -> bool: ...
    def kernels(self) -> list[GatewayKernel]: ...
    def max_kernel_count(self) -> int | None: ...


class KernelLimits:
    """Counts kernels whenever it is asked. Those being started count, those that are dead or wait for a user don't."""

    def __init__(self, host: LimitHost) -> None:
        self._host = host
        self._restarted: list[str] = []  # the kernels that are being restarted, once for each restart

    def check(self, user: GatewayUser, starts: Iterable[Start]) -> None:
        """Raise TooManyKernels when `user` may have no other kernel now; `starts` are under way."""
        owners = self._owners(starts)
        limit = self._host.max_kernel_count()
        if limit is not None and len(owners) >= limit:
            raise TooManyKernels(f"This gateway runs at most {limit} kernels (max_kernels). Shut one down first.")
        bound, setting = self._host.max_kernels_per_user, "max_kernels_per_user"
        if user.max_kernels is not None:
            bound, setting = user.max_kernels, "max_kernels"
        has = owners.count(user.name)
        if user.name and bound and has >= bound:
            raise TooManyKernels(
                f"{user.name} has {counted(has, 'kernel')}, and may have {bound} ({setting}). Shut one down first."
            )

    @contextmanager
    def restarting(self, kernel: GatewayKernel, user: GatewayUser, starts: Iterable[Start]) -> Iterator[None]:
        """Have a kernel count while `user` restarts it, also when it is dead, or dies meanwhile.

        Raises TooManyKernels for a dead one: the bound of its user holds for the user, max_kernels for administrators
        as well.
        """
        if not self._counts(kernel):
            self.check(user if user.name == kernel.owner else ADMINISTRATOR, starts)
        self._restarted.append(kernel.kernel_id)
        try:
            yield
        finally:
            self._restarted.remove(kernel.kernel_id)

    def _counts(self, kernel: GatewayKernel) -> bool:
        return not kernel.is_dead or kernel.kernel_id in self._restarted

    def _owners(self, starts: Iterable[Start]) -> list[str]:
        """Return whose kernels there are; a start counts until its kernel is listed."""
        owners = [each.user.name for each in starts if each.kernel_id not in self._host]
        return owners + [each.owner for each in self._host.kernels() if self._counts(each)]
