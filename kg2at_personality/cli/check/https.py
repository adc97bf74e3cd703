"""Checks the gateway's certificate and key: whether it can speak https with them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from .finding import Finding, error, ok
from .subject import Subject

CHECK = "https"
CERTFILE = "set KernelGatewayApp.certfile (KG_CERTFILE)"


class _PassphraseWanted(Exception):
    """The key has a passphrase, for which OpenSSL would ask at the terminal."""


def https(subject: Subject) -> Iterator[Finding]:
    """Load the files as Kernel Gateway does (gatewayapp.py, `_build_ssl_options`). Yields nothing where none is set."""
    gateway = subject.command.gateway
    files = {name: getattr(gateway, name) for name in ("certfile", "keyfile", "client_ca")}
    unreadable = [problem for name, path in files.items() if path and (problem := _unreadable(name, path))]
    if unreadable:
        yield from unreadable
    elif gateway.certfile:
        yield _loaded(gateway.certfile, gateway.keyfile or "", gateway.client_ca or "")
    elif names := [name for name in ("keyfile", "client_ca", "ssl_version") if getattr(gateway, name)]:
        said = f"{' and '.join(names)} without a certfile: the gateway does not start"
        yield error(CHECK, said, f"{CERTFILE}, or leave them out")


def _unreadable(name: str, path: str) -> Finding | None:
    try:
        open(path, "rb").close()
    except OSError as problem:
        return error(CHECK, f"{name} {path}: {problem.strerror}", f"set KernelGatewayApp.{name} to a file you can read")
    return None


def _loaded(certfile: str, keyfile: str, client_ca: str) -> Finding:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = f"{certfile} and {keyfile}" if keyfile else certfile
    try:
        context.load_cert_chain(certfile, keyfile or None, password=_refuse_passphrase)
    except _PassphraseWanted:
        said = f"{pair}: the key has a passphrase, for which the gateway would ask at each connection"
        return error(CHECK, said, "take one without: openssl pkey -in KEY -out NEW, readable by you alone")
    except (OSError, ValueError):
        return error(CHECK, f"{pair}: not a PEM certificate and its key", f"{CERTFILE} and keyfile (KG_KEYFILE)")
    try:
        if client_ca:
            context.load_verify_locations(client_ca)
    except (OSError, ValueError):
        remedy = "set KernelGatewayApp.client_ca (KG_CLIENT_CA)"
        return error(CHECK, f"client_ca {client_ca}: it holds no PEM certificates", remedy)
    return ok(CHECK, f"{pair}{', for clients with a certificate' if client_ca else ''}")


def _refuse_passphrase() -> str:
    """Called by OpenSSL for a key with a passphrase."""
    raise _PassphraseWanted
