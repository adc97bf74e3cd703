"""What a command knows of a running gateway: where it is, its token, and how to ask it."""

from __future__ import annotations

import http.client
import json
import os
import re
import ssl
import urllib.error
import urllib.request
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, urlsplit, urlunsplit

from traitlets import Bool, Unicode, default

from ..errors import KG2ATError
from ..runtime_file import RuntimeFile, running
from ..system.loopback import is_loopback
from .certificates import Certificates, explained
from .command import Command, UsageError

ANSWER_LIMIT = 10.0  # seconds; the gateway answers from memory
STOP_LIMIT = 120.0  # seconds; a kernel that won't is asked, terminated, killed


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is an error: the token is for one address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


class Client:
    """Asks one gateway. Raises KG2ATError with a sentence for whatever goes wrong."""

    def __init__(self, url: str, token: str, context: ssl.SSLContext | None = None) -> None:
        """`context`: for https; None: as Python does by itself."""
        self.url, self.token = url, token
        direct = [urllib.request.ProxyHandler({})] if is_loopback(urlsplit(url).hostname or "") else []
        secure = [urllib.request.HTTPSHandler(context=context)] if context else []
        self._opener = urllib.request.build_opener(_NoRedirect, *direct, *secure)

    def status(self) -> dict[str, Any]:
        """What `/kg2at/status` says."""
        status, answer = self._ask("GET", "/kg2at/status", ANSWER_LIMIT)
        if status == 404:
            raise KG2ATError(f"What answers at {self.url} is no gateway with kg2at: it has no /kg2at/status.")
        if not isinstance(answer, dict) or not isinstance(answer.get("kernels"), list):
            raise KG2ATError(f"What answers at {self.url} is no gateway with kg2at: its status can't be read.")
        return answer

    def stop(self, kernel_id: str) -> bool:
        """End a kernel; False when the gateway knows none of this id."""
        return self._ask("DELETE", f"/api/kernels/{quote(kernel_id, safe='')}", STOP_LIMIT)[0] != 404

    def _ask(self, method: str, path: str, limit: float) -> tuple[int, Any]:
        """Status and JSON of an answer that is good, or 404."""
        headers = {"Authorization": f"token {self.token}"} if self.token else {}
        try:
            request = urllib.request.Request(self.url + path, method=method, headers=headers)  # noqa: S310
            with self._opener.open(request, timeout=limit) as answer:
                return answer.status, _json(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return self._failed(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KG2ATError(f"The gateway at {self.url} does not answer: {self._why(error, limit)}") from error

    def _why(self, error: Exception, limit: float) -> str:
        """What went wrong, in words: an error of the system has some, others their text or their name."""
        cause = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(cause, TimeoutError):
            return f"no answer within {limit:g} s"
        said = isinstance(cause, Exception) and explained(cause, self.url.startswith("https:"))
        return str(said or getattr(cause, "strerror", None) or cause or type(cause).__name__)

    def _failed(self, error: urllib.error.HTTPError) -> tuple[int, Any]:
        if error.code == 401:
            raise KG2ATError(f"The gateway at {self.url} refuses the token; give it by --token or KG_AUTH_TOKEN.")
        try:
            body = _json(error.read())
        except (OSError, http.client.HTTPException):
            body = None
        if error.code == 404:
            return error.code, body
        message = body.get("message") if isinstance(body, dict) else None
        raise KG2ATError(f"The gateway at {self.url} answered {error.code}: {message or error.reason}")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


class GatewayCommand(Command):
    """A command that speaks to a running gateway."""

    url = Unicode(
        "", help="Address of the gateway, as in http://gateway:8888. Empty: KG2AT_URL, else the one running here."
    ).tag(config=True)
    token = Unicode("", help="Its token. Empty: KG_AUTH_TOKEN, else what the gateway running here has.").tag(
        config=True
    )
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
        """What no word for no says is yes: the safe one of the two."""
        return _variable("VALIDATE_CERT").strip().lower() not in ("no", "false", "0")

    def client(self) -> Client:
        """The gateway to ask. Raises UsageError for an address that is none, KG2ATError when there is no gateway."""
        given, token = self.url or os.environ.get("KG2AT_URL", ""), self.token or os.environ.get("KG_AUTH_TOKEN", "")
        here = running(self.runtime_dir)
        if given:
            url, in_url = _address(given)
            known = next((gateway for gateway in here if gateway.url.rstrip("/") == url), None)
            token = self.token or in_url or token or (known.token if known else "")
        else:
            known = self._only(here)
            url, token = known.url.rstrip("/"), self.token or known.token or token
        return Client(url, token, self._context(url, known))

    def _only(self, here: list[RuntimeFile]) -> RuntimeFile:
        if not here:
            raise KG2ATError(f"No gateway of yours runs here (by {self.runtime_dir}). Name one by --url or KG2AT_URL.")
        if len(here) > 1:
            urls = ", ".join(gateway.url for gateway in here)
            raise KG2ATError(f"{len(here)} gateways of yours run here: {urls}. Choose one by --url.")
        return here[0]

    def _context(self, url: str, known: RuntimeFile | None) -> ssl.SSLContext | None:
        """How https is checked; None without. Raises UsageError for a key alone, KG2ATError for a bad file."""
        if self.client_key and not self.client_cert:
            raise UsageError("--client-key: give the certificate that it belongs to by --client-cert")
        if not url.startswith("https:"):
            return None
        certificates = Certificates(self.client_cert, self.client_key, self.ca_certs, self.validate_cert)
        return certificates.context(known.certfile if known else "")


def _variable(name: str) -> str:
    """kg2at's variable, else the one of Jupyter Server's GatewayClient (jupyter_server/gateway/gateway_client.py)."""
    return os.environ.get(f"KG2AT_{name}") or os.environ.get(f"JUPYTER_GATEWAY_{name}", "")


def _address(text: str) -> tuple[str, str]:
    """The address without a slash at its end, and the token in it: what a gateway prints has one."""
    try:
        parts = urlsplit(text.strip())
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        good = False
    if not good or re.search(r"\s", text.strip()):
        raise UsageError(f"{text!r} is no address of a gateway; write it as in http://gateway:8888")
    url = urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
    return url, parse_qs(parts.query).get("token", [""])[0]
