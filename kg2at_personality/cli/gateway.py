"""The gateway's settings without the gateway: its web server takes longer to import than a command may take."""

from __future__ import annotations

import logging
import os
from typing import Any

from traitlets import Bool, Integer, List, Unicode, default
from traitlets.config import Config, LoggingConfigurable

from ..settings import Settings
from ..wiring import with_environment

_NOBODY = logging.Logger("nobody")
_NOBODY.addHandler(logging.NullHandler())


class KernelGatewayApp(LoggingConfigurable):
    """Stands for Kernel Gateway's application: its name, so that it reads its section of the configuration."""

    ip = Unicode(help="Address that the gateway listens on (KG_IP; 127.0.0.1).").tag(config=True)
    port = Integer(help="Port that the gateway listens on (KG_PORT; 8888).").tag(config=True)
    port_retries = Integer(help="How many ports after it are tried (KG_PORT_RETRIES; 50).").tag(config=True)
    auth_token = Unicode(help="The token that clients must send (KG_AUTH_TOKEN).").tag(config=True)
    base_url = Unicode("/", help="Path before all others.").tag(config=True)
    certfile = Unicode(None, allow_none=True, help="Certificate, for https.").tag(config=True)

    def __init__(self, config: Config) -> None:
        # traitlets would warn of each setting that the real one has and this one lacks.
        super().__init__(config=config, log=_NOBODY)

    @default("ip")
    def _ip_default(self) -> str:
        return os.environ.get("KG_IP", "127.0.0.1")

    @default("port")
    def _port_default(self) -> int:
        return int(os.environ.get("KG_PORT", "8888"))

    @default("port_retries")
    def _port_retries_default(self) -> int:
        return int(os.environ.get("KG_PORT_RETRIES", "50"))

    @default("auth_token")
    def _auth_token_default(self) -> str:
        return os.environ.get("KG_AUTH_TOKEN", "")

    @default("base_url")
    def _base_url_default(self) -> str:
        return os.environ.get("KG_BASE_URL", "/")


class KG2ATPersonality(Settings, LoggingConfigurable):
    """Stands for the personality, likewise."""

    list_kernels = Bool(True, help="As the personality's.").tag(config=True)
    env_whitelist = List(Unicode(), help="As the personality's.").tag(config=True)

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(config=with_environment(config, type(self).__name__), **kwargs)
