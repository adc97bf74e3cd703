"""What differs between the kinds of kernels. Nothing outside a kind's own module asks which kind a kernel is."""

from __future__ import annotations

from collections.abc import Mapping

from ..spark.driver_report import DriverReport
from ..spark.redaction import Redactor
from .client import KernelClient
from .launch.plan import HandOutFailed, Plan


class KernelKind:
    """The answers of a kernel that kg2at knows nothing of. A provisioner derives from it to answer for its kernels.

    `interpreter` is what its notebooks hold: "Scala", "SQL" or "Python"; "" where no kernelspec of kg2at's says it.
    `plan` is the one by which its process was launched; None when that is not known. `lent_ports` are those of the
    manager's `kernel_ports`; None for none.
    """

    interpreter = ""
    plan: Plan | None = None
    lent_ports: list[int] | None = None

    @property
    def is_toree(self) -> bool:
        """Return whether its messages need web/toree_protocol."""
        return False

    @property
    def is_sql(self) -> bool:
        """Return whether its notebooks hold SQL."""
        return self.interpreter == "SQL"

    def redactor(self) -> Redactor | None:
        """Return what knows the secrets in its output; None when nobody knows them, so that none may be shown."""
        return Redactor()

    def restore(self, interpreter: str, ports: list[int] | None) -> bool:
        """Take over what a record says of the kind. Return whether `ports` are lent, and not jupyter_client's."""
        return False

    def give_back_ports(self) -> None:
        """Return what `kernel_ports` lent; the next launch takes others."""

    def driver_report(self) -> DriverReport | None:
        """Return what its driver says of its work; None when that is not known."""
        return None

    def setup_code(self) -> str:
        """Return the cell that prepares a new process before anybody's code runs in it; "" when it needs none."""
        return ""

    # A process that waits for a user.

    async def misfit(self, plan: Plan, env: Mapping[str, str], cwd: str | None) -> str:
        """Return why the process can't serve this launch, in a clause without values that are secret; "" if it can.

        `env` is what Supplies.environment returns for the launch. Raises what a launch by this plan would raise.
        """
        return "only kg2at's own kernels wait for users"

    async def warm_up(self, client: KernelClient) -> bool:
        """Have a process that waits do what makes its user's first cells faster. Return False if it dies meanwhile.

        Cancelled when its user is there.
        """
        return True

    async def hand_out(self, client: KernelClient, plan: Plan, env: Mapping[str, str], cwd: str | None) -> None:
        """Give a process that waits to the user of this launch, for which `misfit` is "": its files are written anew.

        Raises HandOutFailed, OSError and KG2ATError; the process may not be given to anybody then, and is ended.
        """
        raise HandOutFailed(await self.misfit(plan, env, cwd))


#: For all kernels with a provisioner that is not from kg2at.
UNKNOWN = KernelKind()
