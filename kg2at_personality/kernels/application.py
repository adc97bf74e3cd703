"""How the master shows the application of a kernel: by the name and the user of its SparkContext."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from ..spark.cluster import AppIdentity
from ..state.record import Admission
from ..system.processes import own_user_of
from .interfaces import Kernel
from .launch.java_options import sets_user
from .launch.properties import application_name


def rename_application(kernel: Kernel) -> None:
    """Tell the queue what the next launch calls its application. spark-defaults.conf, read afresh, may have changed it.

    No-op for a kernel that holds no cores.
    """
    if kernel.plan is not None and kernel.admission is not None:
        _identify(kernel, kernel.admission, AppIdentity(application_name(kernel.plan, kernel.kernel_id), None))


async def learn_user(kernel: Kernel) -> None:
    """Tell the queue the user of the application as well; spark-submit may run as another user than the gateway.

    Called when the kernel has answered, before it runs anybody's code. Until then, and where it can't be told, an
    application of any user counts.
    """
    plan, admission = kernel.kind.plan, kernel.admission
    shown = admission.request.application if admission is not None else None
    if plan is None or admission is None or shown is None or kernel.pid is None or sets_user(plan):
        return
    user = await asyncio.to_thread(own_user_of, kernel.pid)
    _identify(kernel, admission, replace(shown, user=user))


def _identify(kernel: Kernel, admission: Admission, shown: AppIdentity) -> None:
    kernel.admission = replace(admission, request=replace(admission.request, application=shown))
    kernel.parent.supplies.clusters.rename(kernel.kernel_id, shown)
