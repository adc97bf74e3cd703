"""Certificates for https: those that a command trusts, and the one that it shows to a gateway."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from ..errors import KG2ATError

OPTIONS = "--client-cert and --client-key"
#: What OpenSSL says when the other side wants a certificate, or refuses the one it got (RFC 8446, 6.2; ssl.h).
REFUSALS = ("HANDSHAKE_FAILURE", "ALERT_CERTIFICATE", "BAD_CERTIFICATE", "UNSUPPORTED_CERTIFICATE", "ALERT_UNKNOWN_CA")
#: What it says of an answer that is no TLS.
NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG")
#: Its numbers for a certificate whose signer it does not know (x509_vfy.h).
UNKNOWN = (2, 18, 19, 20, 21)
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True)
class Certificates:
    """The options about certificates: file names, "" for none; `validate` False trusts any gateway."""

    client_cert: str = ""
    client_key: str = ""
    ca_certs: str = ""
    validate: bool = True

    def context(self, known: str = "") -> ssl.SSLContext:
        """Return how to speak to a gateway; `known`: the file of the certificate of one that runs here.

        Raises KG2ATError for a file that can't be read, or holds something else.
        """
        if not self.validate:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        elif known:
            context = _only(known)
        else:
            _readable("--ca-certs", self.ca_certs)
            try:
                context = ssl.create_default_context(cafile=self.ca_certs or None)
            except (OSError, ValueError) as error:
                raise KG2ATError(f"--ca-certs {self.ca_certs}: it holds no PEM certificates") from error
        if self.client_cert:
            self._show(context)
        return context

    def _show(self, context: ssl.SSLContext) -> None:
        """Have the client's certificate shown to a gateway that asks for one.

        OpenSSL asks at the terminal for the key's passphrase, if it has one.
        """
        _readable("--client-cert", self.client_cert)
        _readable("--client-key", self.client_key)
        try:
            context.load_cert_chain(self.client_cert, self.client_key or None)
        except (OSError, ValueError) as error:
            raise KG2ATError(_mismatch(self.client_cert, self.client_key)) from error


def _only(certfile: str) -> ssl.SSLContext:
    """Return a context that trusts the first certificate of a server's file alone, whatever its signer and its host.

    Tornado reads that file anew for each connection (netutil.py, ssl_wrap_socket), so it is the one shown now.
    """
    _readable("The gateway's certificate", certfile)
    try:
        with open(certfile, encoding="latin-1") as file:
            found = CERTIFICATE.search(file.read())
        if found is None:  # without any, ssl would trust what the system trusts
            raise ValueError("no certificate")
        context = ssl.create_default_context(cadata=found[0])
    except (OSError, ValueError) as error:
        raise KG2ATError(f"The gateway's certificate {certfile}: it holds no PEM certificate") from error
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # asks for more than a self-signed certificate may have
    return context


def _readable(option: str, path: str) -> None:
    """Raise KG2ATError for a file that can't be read, with its name, which ssl does not tell. No-op for ""."""
    try:
        if path:
            open(path, "rb").close()
    except OSError as error:
        raise KG2ATError(f"{option} {path}: {error.strerror}") from error


def _mismatch(cert: str, key: str) -> str:
    if not key:
        return f"--client-cert {cert}: it does not hold a PEM certificate and its key; give the key by --client-key"
    return f"--client-cert {cert} and --client-key {key}: they are not a PEM certificate and its key"


def explained(error: BaseException, is_https: bool) -> str:
    """Return what to do about an error of the connection; "" when it has nothing to do with https."""
    if isinstance(error, ssl.SSLCertVerificationError):
        remedy = "name the file with its signer's by --ca-certs, or else" if error.verify_code in UNKNOWN else "else"
        return (
            f"its certificate is not trusted ({error.verify_message}); {remedy} trust whoever answers by "
            "--no-validate-cert"
        )
    if isinstance(error, ssl.SSLError) and any(each in str(error.reason) for each in REFUSALS):
        return f"it wants a certificate of yours, or refuses the one it got ({error.reason}); give one by {OPTIONS}"
    if isinstance(error, ssl.SSLError) and error.reason in NO_TLS:
        return "it does not speak https; write http:// in its address"
    if isinstance(error, (ConnectionError, ssl.SSLEOFError)) and not isinstance(error, ConnectionRefusedError):
        perhaps = f"wants a certificate of yours: {OPTIONS}" if is_https else "speaks https: write https:// for http://"
        return f"it closed the connection; perhaps it {perhaps}"
    return ""
