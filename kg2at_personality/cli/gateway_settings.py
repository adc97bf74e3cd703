"""The gateway's settings without the gateway: its import takes 2.3 s of a processor, and a whole command 0.4 s.

A test holds each of these settings against the real one: name, type, default and environment variable.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any

from traitlets import Bool, Integer, List, Unicode
from traitlets.config import Config, LoggingConfigurable
from traitlets.config.loader import DeferredConfigString

from ..assembly import with_environment
from ..settings import Settings

# traitlets would warn of each setting that the real class has and its stand-in lacks.
_SILENT = logging.Logger("silent")
_SILENT.addHandler(logging.NullHandler())


class KernelGatewayApp(LoggingConfigurable):
    """Stands for Kernel Gateway's application: has its name, and so reads its section of the configuration.

    Only the settings that a command looks at (gatewayapp.py), each with the environment variable that it is read from.
    """

    ip = Unicode("127.0.0.1", help="Address that the gateway listens on (KG_IP).").tag(config=True, variable="KG_IP")
    port = Integer(8888, min=0, max=65535, help="Port that the gateway listens on (KG_PORT).").tag(
        config=True, variable="KG_PORT"
    )
    port_retries = Integer(50, min=0, help="How many ports after it are tried (KG_PORT_RETRIES).").tag(
        config=True, variable="KG_PORT_RETRIES"
    )
    auth_token = Unicode("", help="The token that clients must send (KG_AUTH_TOKEN).").tag(
        config=True, variable="KG_AUTH_TOKEN"
    )
    certfile = Unicode(None, allow_none=True, help="Certificate, for https (KG_CERTFILE).").tag(
        config=True, variable="KG_CERTFILE"
    )
    keyfile = Unicode(None, allow_none=True, help="Its private key (KG_KEYFILE).").tag(
        config=True, variable="KG_KEYFILE"
    )
    client_ca = Unicode(
        None, allow_none=True, help="Certificates that sign those which clients must have (KG_CLIENT_CA)."
    ).tag(config=True, variable="KG_CLIENT_CA")
    ssl_version = Integer(
        None, allow_none=True, help="Protocol of TLS, as Python's ssl numbers it (KG_SSL_VERSION)."
    ).tag(config=True, variable="KG_SSL_VERSION")

    def __init__(self, config: Config) -> None:
        super().__init__(config=_with_variables(config, type(self).__name__), log=_SILENT)

    @classmethod
    def variables(cls) -> Mapping[str, str]:
        """Return the environment variable of each setting, by its name."""
        return {name: trait.metadata["variable"] for name, trait in cls.class_own_traits(config=True).items()}


def _with_variables(config: Config, section: str) -> Config:
    """Return `config` with the KG_* variables as defaults of `section`."""
    variables = KernelGatewayApp.variables().items()
    found = {name: DeferredConfigString(os.environ[each]) for name, each in variables if each in os.environ}
    merged = Config({section: found})
    merged.merge(config)
    return merged


class KG2ATPersonality(Settings, LoggingConfigurable):
    """Stands for the personality, likewise: kg2at's own settings, and those that it inherits."""

    list_kernels = Bool(True, help="Whether clients may list the running kernels (KG_LIST_KERNELS).").tag(config=True)
    env_whitelist = List(Unicode(), help="Variables that a client may set (KG_ENV_WHITELIST).").tag(config=True)

    def __init__(self, config: Config, **kwargs: Any) -> None:
        super().__init__(config=with_environment(config, type(self).__name__), **kwargs)
