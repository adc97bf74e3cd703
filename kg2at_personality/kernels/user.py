"""Who asks for kernels, and whose they are, as far as the kernels' own rooms have to know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GatewayUser:
    """One who was let in.

    `name` is "" for whoever has the gateway's one token, or needs none: nothing tells them apart, and each kernel's
    user is who its client says (KERNEL_USERNAME). `max_cores` and `max_kernels` are bounds of their own, 0 for none;
    None: those of the settings.
    """

    name: str = ""
    is_admin: bool = False
    max_cores: int | None = None
    max_kernels: int | None = None

    def sees(self, owner: str | None) -> bool:
        """Return whether a kernel of `owner` exists for this user; None is the owner of one that never was."""
        return self.is_admin or owner == self.name


#: The gateway itself, and who has its one token.
ADMINISTRATOR = GatewayUser(is_admin=True)
