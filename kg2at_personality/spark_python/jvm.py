"""The driver's JVM: launched by the first use of Spark, and watched until it ends."""

from __future__ import annotations

import threading
from typing import Any, Callable, Mapping

from .driver_options import DriverOptions
from .ipykernel_internals import log_descriptors
from .jvm_log import JvmLog
from .pending_call import PendingCall
from .properties_file import PropertiesFile
from .short_error import SparkStartError

#: pyspark's shells have it on, and it would go through the log.
_QUIET = {"spark.ui.showConsoleProgress": "false"}


class Jvm:
    """Launches the JVM with pyspark's own `launch_gateway`, one at a time.

    `on_exit` is called with the gateway and the exit status of a JVM that has ended, in a thread of its own. That
    thread also takes the status at once, so that ipykernel doesn't wait 20 s for a zombie when it shuts down.
    """

    def __init__(self, properties: PropertiesFile, java_home: str, on_exit: Callable[[Any, int], None]) -> None:
        self._properties, self._on_exit = properties, on_exit
        self._options = DriverOptions(properties.path, properties.admitted, java_home)
        self._log = JvmLog(properties.path, properties.admitted)
        self._launch: PendingCall | None = None
        self._process: Any = None
        self._has_ended = threading.Event()

    def begin(self, launch: Callable[..., Any], values: Mapping[str, str]) -> PendingCall:
        """Begin to launch a JVM that has these properties too; no-op while one is being launched.

        An interrupted launch goes on, and the next one who wants a JVM waits for it.
        """
        if self._launch is None:
            missing = {key: value for key, value in _QUIET.items() if key not in self._properties.admitted}
            self._properties.add({**missing, **self._options.hidden(values)})
            self._log.begin()
            self._launch = PendingCall(lambda: launch(None, dict(log_descriptors())))
        return self._launch

    def gateway(self, launch: Callable[..., Any], values: Mapping[str, str], on_delay: Callable[[], None]) -> Any:
        """Return a gateway to a new JVM. Raises SparkStartError. Called under SparkContext's lock."""
        pending = self.begin(launch, values)
        try:
            gateway = pending.result(on_delay)
        except Exception as error:
            raise SparkStartError(error, self._log.last_lines()) from error
        finally:
            if not pending.is_running:
                self._launch = None
        self._process, self._has_ended = gateway.proc, threading.Event()
        arguments = [gateway, self._has_ended]
        threading.Thread(target=self._watch, args=arguments, name="kg2at JVM watch", daemon=True).start()
        return gateway

    def _watch(self, gateway: Any, has_ended: threading.Event) -> None:
        self._on_exit(gateway, gateway.proc.wait())
        has_ended.set()

    def wait_for_end(self, limit: float) -> None:
        """Wait until the JVM has ended and everybody knows it, for so many seconds. No-op without a JVM."""
        if self._process is not None:
            self._has_ended.wait(limit)

    def end(self, limit: float) -> None:
        """Have the JVM end with its application, and wait for so many seconds. No-op without a JVM."""
        if self._process is not None:
            self._process.terminate()
            self.wait_for_end(limit)
