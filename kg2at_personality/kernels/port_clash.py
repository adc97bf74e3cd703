"""What is done when somebody else took a kernel's ports before its process did: they were chosen earlier."""

from __future__ import annotations

from jupyter_client.connect import port_names

from ..system.free_ports import is_free
from .interfaces import Kernel


def has_its_ports(kernel: Kernel) -> bool:
    """Return whether nobody listens on the ports of a kernel whose process died."""
    return kernel.transport != "tcp" or all(is_free(kernel.ip, port) for port in kernel.ports)


async def start_on_other_ports(kernel: Kernel) -> None:
    """Launch a kernel that died once more, by a new plan. Raises whatever a launch raises."""
    kernel.log.warning("Kernel %s starts again on other ports: someone else took one of them", kernel.kernel_id)
    async with kernel.lifecycle:
        await kernel.provisioner.wait()
        await kernel.cleanup_resources(restart=True)
        _forget_ports(kernel)
        kernel.cleanup_connection_file()
        kernel.plan = await kernel.parent.supplies.plan(kernel.kernel_name, kernel.launch_args["env"], kernel.owner)
        await kernel.launch(**kernel.launch_args)
    kernel.parent.watch_again(kernel.kernel_id)


def _forget_ports(kernel: Kernel) -> None:
    """Let the next launch choose others. Those of the last one stay reserved: somebody else has them."""
    kernel.provisioner.ports_cached = False
    kernel.kind.give_back_ports()
    for name in port_names:
        setattr(kernel, name, 0)
