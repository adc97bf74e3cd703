"""Where a gateway can be reached: told in the log, and to `jupyter kg2at status` by the runtime file."""

from __future__ import annotations

from logging import Logger
from typing import Any

from . import runtime_file
from .web.identity.provider import names_users
from .web.log_filter import UNFILTERED


class Announcement:
    """What is told once the gateway listens. `shows_token`: kg2at made the token, and nobody else knows it."""

    def __init__(self, app: Any, shows_token: bool, log: Logger) -> None:
        self._app, self._shows_token, self._log = app, shows_token, log
        self._file: runtime_file.RuntimeFile | None = None

    @property
    def url(self) -> str:
        """Return an address that reaches the gateway from its own machine."""
        app = self._app
        host = "127.0.0.1" if app.ip in ("", "0.0.0.0", "::", "*") else app.ip  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        return f"http{'s' if app.certfile else ''}://{host}:{app.port}{app.base_url.rstrip('/')}"

    def publish(self) -> None:
        """Called when the port is known."""
        self._write_runtime_file()
        app, url, shown = self._app, self.url, {UNFILTERED: True}
        token = app.auth_token if self._shows_token else "<your token>"
        wants_token = app.auth_token or app.identity_provider.auth_enabled
        login, option = (f"?token={token}", f" --GatewayClient.auth_token={token}") if wants_token else ("", "")
        self._log.info("kg2at serves Spark at %s/kg2at/%s", url, login, extra=shown)
        self._log.info("Connect JupyterLab to it: jupyter lab --gateway-url=%s%s", url, option, extra=shown)

    def _write_runtime_file(self) -> None:
        """Write it, without a token where users have their own: theirs says who they are."""
        app = self._app
        token = "" if names_users(app.identity_provider) else app.auth_token
        try:
            self._file = runtime_file.write(app.runtime_dir, app.port, self.url, token, app.certfile or "")
        except OSError as error:
            self._log.warning("`jupyter kg2at status` won't find this gateway by itself: %s", error)

    def withdraw(self) -> None:
        """Called when the gateway ends. Idempotent."""
        if self._file is not None:
            self._file.remove()
