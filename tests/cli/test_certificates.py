"""`jupyter kg2at status` and a gateway that speaks https: whom it trusts, what it shows, and what it says."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality import runtime_file
from kg2at_personality.cli.certificates import Certificates
from kg2at_personality.errors import KG2ATError
from tests.cli.authority import Authority, Pair
from tests.cli.status_server import TOKEN, Fake, environ, status
from tests.fakes.gateway_process import Gateway


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Pair:
    return authority.sign("server")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Pair:
    return authority.sign("client", "DNS:client", "clientAuth")


class Secure(Fake):
    """The same by https; with `client_ca` it wants a certificate of the client."""

    def __init__(self, pair: Pair, client_ca: Path | None = None, tls: Any = None) -> None:
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        if tls:
            context.maximum_version = tls
        if client_ca:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client_ca)
        self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.url = self.url.replace("http:", "https:")
        self.thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    def handle_error(self, *_: Any) -> None:
        """A handshake that fails is what some tests are about."""

    def __enter__(self) -> Secure:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.thread.join()
        self.server_close()


@pytest.fixture
def secure(server: Pair) -> Iterator[Secure]:
    with Secure(server) as running:
        yield running


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def strict(server: Pair, authority: Authority, request: pytest.FixtureRequest) -> Iterator[Secure]:
    """Wants a certificate of the client."""
    with Secure(server, authority.root.cert, request.param) as running:
        yield running


def test_an_unknown_signer_is_refused_and_the_ways_out_work(
    secure: Secure, authority: Authority, tmp_path: Path
) -> None:
    env = environ(tmp_path, KG2AT_URL=secure.url, KG_AUTH_TOKEN=TOKEN)
    code, out, err = status(env)
    assert (code, out) == (1, "") and "--ca-certs" in err and "--no-validate-cert" in err
    ca = str(authority.root.cert)
    assert status(env, "--ca-certs", ca)[0] == 0
    assert status(env, "--no-validate-cert")[0] == 0
    assert status(env, f"--GatewayCommand.ca_certs={ca}")[0] == 0
    for variables in (
        {"KG2AT_CA_CERTS": ca},
        {"JUPYTER_GATEWAY_CA_CERTS": ca},
        {"KG2AT_CA_CERTS": ca, "JUPYTER_GATEWAY_CA_CERTS": "/no/file"},
        {"KG2AT_VALIDATE_CERT": "False"},
        {"JUPYTER_GATEWAY_VALIDATE_CERT": "no"},
    ):
        assert status(env | variables)[0] == 0, variables
    assert status(env | {"KG2AT_VALIDATE_CERT": "true", "JUPYTER_GATEWAY_VALIDATE_CERT": "no"})[0] == 1
    assert status(env | {"KG2AT_VALIDATE_CERT": "perhaps"})[0] == 1, "what is no clear no is yes"


def test_a_gateway_that_wants_a_certificate(strict: Secure, authority: Authority, client: Pair, tmp_path: Path) -> None:
    env = environ(tmp_path, KG2AT_URL=strict.url, KG_AUTH_TOKEN=TOKEN, KG2AT_CA_CERTS=str(authority.root.cert))
    code, out, err = status(env)
    assert (code, out) == (1, "") and "--client-cert and --client-key" in err
    pair = ("--client-cert", str(client.cert), "--client-key", str(client.key))
    assert status(env, *pair)[0] == 0
    assert status(env, "stop", "0edaa714", *pair)[0] == 0 and strict.deleted == ["0edaa714"]
    one = tmp_path / "one.pem"
    one.write_text(client.key.read_text() + client.cert.read_text())
    assert status(env, "--client-cert", str(one))[0] == 0
    for prefix in ("KG2AT", "JUPYTER_GATEWAY"):
        variables = {f"{prefix}_CLIENT_CERT": str(client.cert), f"{prefix}_CLIENT_KEY": str(client.key)}
        assert status(env | variables)[0] == 0, prefix
    foreign = authority.sign("foreign", "DNS:foreign", "clientAuth", signed=False)
    code, _, err = status(env, "--client-cert", str(foreign.cert), "--client-key", str(foreign.key))
    assert code == 1 and "--client-cert and --client-key" in err


def test_options_in_the_configuration_file(strict: Secure, authority: Authority, client: Pair, tmp_path: Path) -> None:
    names = {"url": strict.url, "token": TOKEN, "ca_certs": authority.root.cert}
    names |= {"client_cert": client.cert, "client_key": client.key}
    lines = [f"c.GatewayCommand.{name} = {str(value)!r}\n" for name, value in names.items()]
    (tmp_path / "jupyter_kernel_gateway_config.py").write_text("".join(lines))
    assert status(environ(tmp_path))[0] == 0


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--ca-certs", "/no/file"], 1, "--ca-certs /no/file: No such file"),
        (["--ca-certs", "{key}"], 1, "it holds no PEM certificates"),
        (["--client-cert", "/no/file"], 1, "--client-cert /no/file: No such file"),
        (["--client-cert", "{cert}", "--client-key", "/no/file"], 1, "--client-key /no/file: No such file"),
        (["--client-cert", "{cert}"], 1, "give the key by --client-key"),
        (["--client-cert", "{cert}", "--client-key", "{other}"], 1, "are not a PEM certificate and its key"),
        (["--client-key", "{key}"], 2, "--client-cert"),
    ],
    ids=str,
)
def test_files_that_are_none(
    secure: Secure, client: Pair, server: Pair, tmp_path: Path, options: list[str], code: int, said: str
) -> None:
    words = [each.format(cert=client.cert, key=client.key, other=server.key) for each in options]
    got, _, err = status(environ(tmp_path), "--url", secure.url, *words)
    assert got == code and said in err


def test_a_certificate_for_another_host(authority: Authority, tmp_path: Path) -> None:
    with Secure(authority.sign("elsewhere", "DNS:gateway.example")) as running:
        env = environ(tmp_path, KG2AT_URL=running.url, KG_AUTH_TOKEN=TOKEN, KG2AT_CA_CERTS=str(authority.root.cert))
        code, _, err = status(env)
        assert code == 1 and "127.0.0.1" in err and "--ca-certs" not in err


def test_http_and_https_mixed_up(secure: Secure, tmp_path: Path) -> None:
    code, _, err = status(environ(tmp_path), "--url", secure.url.replace("https:", "http:"))
    assert code == 1 and "https://" in err
    with Fake() as plain:
        thread = threading.Thread(target=plain.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        code, _, err = status(environ(tmp_path), "--url", plain.url.replace("http:", "https:"))
        plain.shutdown()
        thread.join()
    assert code == 1 and "http://" in err


@pytest.mark.parametrize("signed", [True, False])
def test_a_gateway_of_ones_own_is_known_by_its_certificate(authority: Authority, tmp_path: Path, signed: bool) -> None:
    """Whoever signed it, for whatever host; and no other gateway passes for it."""
    own = authority.sign(f"own-{signed}", "DNS:gateway.example", signed=signed)
    chain = tmp_path / "chain.pem"
    chain.write_text(own.key.read_text() + own.cert.read_text() + authority.root.cert.read_text())
    with Secure(own) as running:
        here = runtime_file.write(str(tmp_path), 8888, running.url, TOKEN, str(chain))
        assert status(environ(tmp_path))[0] == 0
        assert status(environ(tmp_path), "--url", running.url)[0] == 0
        assert status(environ(tmp_path, JUPYTER_GATEWAY_CA_CERTS="/for/another"))[0] == 0
        here.remove()
        assert status(environ(tmp_path), "--url", running.url, "--token", TOKEN)[0] == 1
    with Secure(authority.sign("impostor", "DNS:gateway.example", signed=signed)) as impostor:
        runtime_file.write(str(tmp_path), 8888, impostor.url, TOKEN, str(chain))
        code, _, err = status(environ(tmp_path))
        assert code == 1 and "its certificate is not trusted" in err


@pytest.mark.parametrize("content", [None, "nothing", "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----"])
def test_a_known_certificate_that_is_none(tmp_path: Path, content: str | None) -> None:
    """Nobody is trusted then."""
    if content:
        (tmp_path / "cert.pem").write_text(content)
    with pytest.raises(KG2ATError, match=r"The gateway's certificate .*cert.pem: (No such|it holds no)"):
        Certificates().context(str(tmp_path / "cert.pem"))


def test_a_real_gateway_with_a_client_ca(authority: Authority, client: Pair, tmp_path: Path) -> None:
    own = authority.sign("self", "DNS:gateway.example", signed=False)
    shutil.copy(own.cert, tmp_path / "cert.pem")
    options = [f"--KernelGatewayApp.certfile={tmp_path / 'cert.pem'}", f"--KernelGatewayApp.keyfile={own.key}"]
    options += [f"--KernelGatewayApp.client_ca={authority.root.cert}", "--KernelGatewayApp.base_url=/a/b"]
    with SecureGateway(tmp_path, *options, "--KG2ATPersonality.inject_kernelspecs=False") as gateway:
        env = environ(gateway.runtime)
        code, _, err = status(env)
        assert code == 1 and "--client-cert and --client-key" in err
        pair = ("--client-cert", str(client.cert), "--client-key", str(client.key))
        code, out, err = status(env, "--json", *pair)
        assert (code, err) == (0, "") and json.loads(out)["kernels"] == []
        renewed = authority.sign("self", "DNS:gateway.example", signed=False)  # the gateway shows it at once
        shutil.copy(renewed.cert, tmp_path / "cert.pem")
        assert status(env, *pair)[0] == 0
        url = f"https://127.0.0.1:{gateway.port}/a/b/"
        code, _, err = status(environ(tmp_path), "--url", url, "--token", gateway.token, *pair)
        assert code == 1 and "its certificate is not trusted" in err
        trust = ("--ca-certs", str(own.cert))
        code, _, err = status(environ(tmp_path), "--url", url, "--token", gateway.token, *pair, *trust)
        assert code == 1 and "127.0.0.1" in err and "--ca-certs" not in err
        assert status(environ(tmp_path), "--url", url, "--token", gateway.token, *pair, "--no-validate-cert")[0] == 0
        assert status(environ(gateway.runtime), "--url", url, *pair)[0] == 0


class SecureGateway(Gateway):
    """A gateway that speaks https, so that nobody can ask it without certificates."""

    def start(self) -> None:
        """Start, and wait until it has said where it is."""
        with open(self.log_path, "ab") as log:
            streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = subprocess.Popen(self.argv, env=self.environ, cwd=self.directory, **streams)
        env = environ(self.runtime)
        while "No gateway of yours runs here" in status(env)[2]:
            assert self.process.poll() is None, self.log
