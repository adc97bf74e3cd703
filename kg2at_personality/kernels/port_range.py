"""The five ZeroMQ ports of a kernel, from a range that a firewall lets through."""

from __future__ import annotations

from ..errors import NoFreePort
from ..system.free_ports import is_free

#: shell, iopub, stdin, heartbeat, control
PORTS_PER_KERNEL = 5


class PortRange:
    """Hands out free ports from `first` to `last`, both included; each to one kernel at a time."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self._taken: set[int] = set()

    @classmethod
    def parse(cls, text: str) -> PortRange:
        """Read "41000-41999". Raises ValueError with a sentence."""
        first, _, last = text.partition("-")
        if not (text.isascii() and first.strip().isdigit() and last.strip().isdigit()):
            raise ValueError(f"a port range is written FIRST-LAST, as in 41000-41999, not {text!r}")
        if not 1024 <= int(first) <= int(last) <= 65535:
            raise ValueError(f"{text!r} is no range of ports between 1024 and 65535")
        if int(last) - int(first) + 1 < PORTS_PER_KERNEL:
            raise ValueError(f"{text!r} holds fewer than the {PORTS_PER_KERNEL} ports that one kernel needs")
        return cls(int(first), int(last))

    def take(self, ip: str) -> list[int]:
        """Take and return five ports that are free on `ip`. Raises NoFreePort, and takes none then."""
        found: list[int] = []
        for port in range(self.first, self.last + 1):
            if port not in self._taken and is_free(ip, port):
                found.append(port)
                if len(found) == PORTS_PER_KERNEL:
                    self._taken.update(found)
                    return found
        raise NoFreePort(
            f"Fewer than {PORTS_PER_KERNEL} of the ports {self.first}-{self.last} are free (kernel_ports). "
            "Shut down a notebook, or ask the administrator for a wider range."
        )

    def keep(self, ports: list[int]) -> None:
        """Take these: a kernel that runs has them already."""
        self._taken.update(ports)

    def give_back(self, ports: list[int]) -> None:
        """Give ports back. Idempotent."""
        self._taken.difference_update(ports)
