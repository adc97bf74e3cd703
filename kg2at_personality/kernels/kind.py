"""What differs between the kinds of kernels. Nothing outside a kind's own module asks which kind a kernel is."""

from __future__ import annotations

from ..spark.driver_report import DriverReport
from ..spark.redaction import Redactor
from .client import KernelClient
from .launch.plan import Plan


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

    async def set_up(self, client: KernelClient) -> bool:
        """Prepare a new process that answers, before anybody's code runs in it. Return False if it dies meanwhile."""
        return True


#: For all kernels with a provisioner that is not from kg2at.
UNKNOWN = KernelKind()
