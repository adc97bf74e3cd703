"""What clients see of a kernel beside what Jupyter tells of it."""

from __future__ import annotations

from typing import Any

from .kernel import GatewayKernel
from .spark_uis import report_of, ui_path


def own_fields(kernel: GatewayKernel, base_url: str) -> dict[str, Any]:
    """Return whether it had waited for its user, and if not, why; `metadata` has the path of its Spark UI, or None."""
    reason = kernel.warm_reason
    metadata = {"spark_ui": ui_path(base_url, kernel.kernel_id, report_of(kernel))}
    return {"warm": not reason, "warm_reason": reason, "metadata": metadata}
