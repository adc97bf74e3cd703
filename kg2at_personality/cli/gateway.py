"""The gateway's settings without the gateway: its web server takes longer to import than a command may take."""

from __future__ import annotations

import logging
import os
from typing import Any

from traitlets import Bool, Integer, List, Unicode
from traitlets.config import Config, LoggingConfigurable
from traitlets.config.loader import DeferredConfigString

from ..assembly import with_environment
from ..settings import Settings

_NOBODY = logging.Logger("nobody")
_NOBODY.addHandler(logging.NullHandler())
#: Those of Kernel Gateway's settings that a command looks at (gatewayapp.py), and their variables.
VARIABLES = {
    "ip": "KG_IP",
    "port": "KG_PORT",
    "port_retries": "KG_PORT_RETRIES",
    "auth_token": "KG_AUTH_TOKEN",
    "certfile": "KG_CERTFILE",
    "keyfile": "KG_KEYFILE",
    "client_ca": "KG_CLIENT_CA",
    "ssl_version": "KG_SSL_VERSION",
}


class KernelGatewayApp(LoggingConfigurable):
    """Stands for Kernel Gateway's application: its name, so that it reads its section of the configuration."""

    ip = Unicode("127.0.0.1", help="Address that the gateway listens on (KG_IP).").tag(config=True)
    port = Integer(8888, min=0, max=65535, help="Port that the gateway listens on (KG_PORT).").tag(config=True)
    port_retries = Integer(50, min=0, help="How many ports after it are tried (KG_PORT_RETRIES).").tag(config=True)
    auth_token = Unicode("", help="The token that clients must send (KG_AUTH_TOKEN).").tag(config=True)
    certfile = Unicode(None, allow_none=True, help="Certificate, for https (KG_CERTFILE).").tag(config=True)
    keyfile = Unicode(None, allow_none=True, help="Its private key (KG_KEYFILE).").tag(config=True)
    client_ca = Unicode(
        None, allow_none=True, help="Certificates that sign those which clients must have (KG_CLIENT_CA)."
    ).tag(config=True)
    ssl_version = Integer(
        None, allow_none=True, help="Protocol of TLS, as Python's ssl numbers it (KG_SSL_VERSION)."
    ).tag(config=True)

    def __init__(self, config: Config) -> None:
        # traitlets would warn of each setting that the real one has and this one lacks.
        super().__init__(config=_with_variables(config, type(self).__name__), log=_NOBODY)


def _with_variables(config: Config, section: str) -> Config:
    """`config` with the KG_* variables as defaults."""
    found = {name: DeferredConfigString(os.environ[each]) for name, each in VARIABLES.items() if each in os.environ}
    merged = Config({section: found})
    merged.merge(config)
    return merged


class KG2ATPersonality(Settings, LoggingConfigurable):
    """Stands for the personality, likewise."""

    list_kernels = Bool(True, help="As the personality's.").tag(config=True)
    env_whitelist = List(Unicode(), help="As the personality's.").tag(config=True)

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(config=with_environment(config, type(self).__name__), **kwargs)
