"""The options by which a command finds a running gateway: address, token, certificates."""

from __future__ import annotations

import os
import re
import ssl
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit, urlunsplit

from traitlets import Bool, Unicode, default

from ..errors import KG2ATError
from ..runtime_file import RuntimeFile, running
from .certificates import Certificates
from .command import Command
from .gateway_client import GatewayClient
from .jupyter_command import UsageError


class GatewayCommand(Command):
    """A command that asks a running gateway."""

    url = Unicode(
        "", help="Address of the gateway, as in http://gateway:8888. Empty: KG2AT_URL, else the one running here."
    ).tag(config=True)
    token = Unicode(
        "",
        help="Its token, or yours where each user has one. Empty: KG_AUTH_TOKEN, else the one that the gateway running "
        "here has for all.",
    ).tag(config=True)
    client_cert = Unicode(
        help="File of the PEM certificate to show to an https gateway that wants one; the key may be in it. "
        "Empty: KG2AT_CLIENT_CERT or JUPYTER_GATEWAY_CLIENT_CERT, else none."
    ).tag(config=True)
    client_key = Unicode(
        help="File of its key. Empty: KG2AT_CLIENT_KEY or JUPYTER_GATEWAY_CLIENT_KEY, else in client_cert."
    ).tag(config=True)
    ca_certs = Unicode(
        help="File of the PEM certificates that sign an https gateway's. Empty: KG2AT_CA_CERTS or "
        "JUPYTER_GATEWAY_CA_CERTS, else the system's. The gateway running here is known without."
    ).tag(config=True)
    validate_cert = Bool(
        True,
        help="Whether the certificate of an https gateway is checked (KG2AT_VALIDATE_CERT or "
        "JUPYTER_GATEWAY_VALIDATE_CERT; True). False trusts whoever answers, with the token.",
    ).tag(config=True)

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        "url": "GatewayCommand.url",
        "token": "GatewayCommand.token",
        "client-cert": "GatewayCommand.client_cert",
        "client-key": "GatewayCommand.client_key",
        "ca-certs": "GatewayCommand.ca_certs",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **Command.flags,
        "no-validate-cert": (
            {"GatewayCommand": {"validate_cert": False}},
            "Trust whoever answers at an https address.",
        ),
    }

    @default("client_cert")
    def _client_cert_default(self) -> str:
        return _variable("CLIENT_CERT")

    @default("client_key")
    def _client_key_default(self) -> str:
        return _variable("CLIENT_KEY")

    @default("ca_certs")
    def _ca_certs_default(self) -> str:
        return _variable("CA_CERTS")

    @default("validate_cert")
    def _validate_cert_default(self) -> bool:
        """Return False for a word that says no, True for anything else, which is the safe one of the two."""
        return _variable("VALIDATE_CERT").strip().lower() not in ("no", "false", "0")

    def client(self) -> GatewayClient:
        """Return a client of the gateway to ask: the one that the options name, else the one that runs here.

        Raises UsageError for an address that is none, KG2ATError when no gateway runs here, or several.
        """
        given, token = self.url or os.environ.get("KG2AT_URL", ""), self.token or os.environ.get("KG_AUTH_TOKEN", "")
        here = running(self.runtime_dir)
        if given:
            url, in_url = _address(given)
            known = next((gateway for gateway in here if gateway.url.rstrip("/") == url), None)
            token = self.token or in_url or token or (known.token if known else "")
        else:
            known = self._only(here)
            url, token = known.url.rstrip("/"), self.token or known.token or token
        return GatewayClient(url, token, self._context(url, known))

    def _only(self, here: list[RuntimeFile]) -> RuntimeFile:
        if not here:
            raise KG2ATError(f"No gateway of yours runs here (by {self.runtime_dir}). Name one by --url or KG2AT_URL.")
        if len(here) > 1:
            urls = ", ".join(gateway.url for gateway in here)
            raise KG2ATError(f"{len(here)} gateways of yours run here: {urls}. Choose one by --url.")
        return here[0]

    def _context(self, url: str, known: RuntimeFile | None) -> ssl.SSLContext | None:
        """Return how https is checked; None for http. Raises UsageError for a key alone, KG2ATError for a bad file."""
        if self.client_key and not self.client_cert:
            raise UsageError("--client-key: give the certificate that it belongs to by --client-cert")
        if not url.startswith("https:"):
            return None
        certificates = Certificates(self.client_cert, self.client_key, self.ca_certs, self.validate_cert)
        return certificates.context(known.certfile if known else "")


def _variable(name: str) -> str:
    """Return kg2at's variable, else that of Jupyter Server's GatewayClient (jupyter_server/gateway)."""
    return os.environ.get(f"KG2AT_{name}") or os.environ.get(f"JUPYTER_GATEWAY_{name}", "")


def _address(text: str) -> tuple[str, str]:
    """Return the address without a slash at its end, and its token, as a gateway prints both. Raises UsageError."""
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        good = False
    if not good or re.search(r"\s", text.strip()):
        raise UsageError(f"{text!r} is no address of a gateway; write it as in http://gateway:8888")
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return url, parse_qs(parts.query).get("token", [""])[0]
