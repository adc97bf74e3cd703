"""Certificates for tests: an authority, and what it signs. Made by openssl."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

HEAD = "[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN={name}\n"
ROOT = "[more]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n"
LEAF = "[more]\nbasicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nsubjectAltName={host}\nextendedKeyUsage={use}\n"
LEAF += "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid,issuer\n"


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, two files."""

    cert: Path
    key: Path


class Authority:
    """Signs certificates in a directory."""

    def __init__(self, directory: Path) -> None:
        if not shutil.which("openssl"):
            pytest.skip("openssl makes the certificates")
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        self.root = self._request("authority", ROOT)
        self._openssl(*self._csr("authority"), "-signkey", self.root.key, "-out", self.root.cert)

    def sign(self, name: str, host: str = "IP:127.0.0.1", use: str = "serverAuth", signed: bool = True) -> Pair:
        """A certificate for `host`; signed by itself unless `signed`."""
        pair = self._request(name, LEAF.format(host=host, use=use))
        signer = ("-CA", self.root.cert, "-CAkey", self.root.key, "-CAcreateserial")
        self._openssl(*self._csr(name), *(signer if signed else ("-signkey", pair.key)), "-out", pair.cert)
        return pair

    def _request(self, name: str, more: str) -> Pair:
        pair = Pair(self.directory / f"{name}.pem", self.directory / f"{name}.key")
        (self.directory / f"{name}.cnf").write_text(HEAD.format(name=name) + more)
        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", pair.key)
        request = ("-config", self.directory / f"{name}.cnf", "-out", self.directory / f"{name}.csr")
        self._openssl("req", "-new", *curve, *request)
        return pair

    def _csr(self, name: str) -> tuple[str | Path, ...]:
        more = ("-extfile", self.directory / f"{name}.cnf", "-extensions", "more", "-days", "2")
        return ("x509", "-req", "-in", self.directory / f"{name}.csr", *more)

    @staticmethod
    def _openssl(*words: str | Path) -> None:
        subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)
