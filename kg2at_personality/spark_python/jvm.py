"""The driver's JVM: launched by the first use of Spark, and watched until it ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from .ipykernel_internals import log_descriptors
from .pending_call import PendingCall
from .properties_file import PropertiesFile


class Jvm:
    """Launches the JVM with pyspark's own `launch_gateway`, one at a time.

    `on_exit` is called with the gateway and the exit status of a JVM that has ended, in a thread of its own. That
    thread also takes the status at once, so that ipykernel doesn't wait 20 s for a zombie when it shuts down.
    """

    def __init__(self, properties: PropertiesFile, on_exit: Callable[[Any, int], None]) -> None:
        self._properties, self._on_exit = properties, on_exit
        self._launch: PendingCall | None = None

    def gateway(self, launch: Callable[..., Any], values: dict[str, str]) -> Any:
        """Return a gateway to a new JVM that has these properties too. Raises what `launch` raises.

        Called under SparkContext's lock. An interrupted launch goes on, and the next call waits for it.
        """
        if self._launch is None:
            self._properties.add(values)
            self._launch = PendingCall(lambda: launch(None, log_descriptors()))
        try:
            gateway = self._launch.result()
        finally:
            if not self._launch.is_running:
                self._launch = None
        if gateway.proc is not None:
            threading.Thread(target=self._watch, args=[gateway], name="kg2at JVM watch", daemon=True).start()
        return gateway

    def _watch(self, gateway: Any) -> None:
        self._on_exit(gateway, gateway.proc.wait())
