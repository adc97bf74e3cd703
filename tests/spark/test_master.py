"""The client of the master's JSON against the fake over real sockets, and once against a real master."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from kg2at_personality.errors import MalformedAnswer, MasterUnreachable, SparkConfError
from kg2at_personality.spark.cluster import Capacity, ClusterState, ExecutorRequest, capacity
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.master_ui import master_urls, shown
from kg2at_personality.spark.placement import IdleCluster, Placement
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import Fault, MasterServer
from tests.fakes.ports import held_port
from tests.fakes.wait import wait_until

T = TypeVar("T")
SHORT = 0.3  # seconds; time-outs that are meant to pass
LONG = 20.0  # seconds; time-outs that must not


def fake(status: str = "ALIVE", name: str = "m") -> FakeMaster:
    master = FakeMaster(status=status)
    master.url = f"spark://{name}:7077"
    master.add_worker(4, 4096)
    return master


def play(scene: Callable[..., Awaitable[T]], *masters: FakeMaster) -> T:
    """Run `scene(*servers)` with a server for each master."""

    async def on_stage() -> T:
        async with AsyncExitStack() as stack:
            servers = [await stack.enter_async_context(MasterServer(master)) for master in masters]
            return await scene(*servers)

    return asyncio.run(on_stage())


async def ask(*servers: MasterServer, timeout: float = LONG) -> ClusterState:
    return await MasterClient([server.url for server in servers], timeout=timeout).state()


@pytest.fixture(scope="module")
def refused_url() -> Iterator[str]:
    """An address that refuses connections: its port is bound, so that nobody else listens there either."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


# One master.


def test_state() -> None:
    state = play(ask, fake())
    assert capacity(state) == Capacity(1, 4, 4, 4096, 4096)
    assert (state.url, state.status) == ("spark://m:7077", "ALIVE")


def test_one_request_a_poll() -> None:
    async def scene(server: MasterServer) -> int:
        client = MasterClient([server.url], timeout=LONG)
        for _ in range(3):
            await client.state()
        return server.requests

    assert play(scene, fake()) == 3


FAULTS: list[tuple[Fault, type[MasterUnreachable], str]] = [
    ("slow", MasterUnreachable, "no complete answer within 0.3 s"),
    ("drip", MasterUnreachable, "no complete answer within 0.3 s"),
    ("html", MalformedAnswer, "not JSON but .* text/html"),
    ("malformed", MalformedAnswer, "'coresused': expected a whole number"),
    ("deep", MalformedAnswer, "not JSON"),
    ("half-closed", MasterUnreachable, "closed"),
    ("500", MasterUnreachable, "HTTP 500 Internal Server Error"),
    ("redirect", MasterUnreachable, "redirects to https://127.0.0.1:8480/json/"),
]


@pytest.mark.parametrize(("fault", "kind", "message"), FAULTS)
def test_faults_are_errors_with_the_url(fault: Fault, kind: type[MasterUnreachable], message: str) -> None:
    async def scene(server: MasterServer) -> str:
        server.fault = fault
        with pytest.raises(MasterUnreachable, match=message) as raised:
            await ask(server, timeout=SHORT if fault in ("slow", "drip") else LONG)
        assert type(raised.value) is kind
        assert (raised.value.url, raised.value.status) == (server.url, 503)
        return str(raised.value)

    said = play(scene, fake())
    assert said.startswith("Spark master http://127.0.0.1:")
    assert "secret" not in said


@pytest.mark.parametrize("fault", ["huge", "huge-until-close"])
def test_a_huge_answer_is_cut_off(fault: Fault) -> None:
    async def scene(server: MasterServer) -> None:
        server.fault = fault
        with pytest.raises(MasterUnreachable, match=server.url):
            await MasterClient([server.url], timeout=LONG, max_answer=4 * 1024 * 1024).state()

    play(scene, fake())


def test_the_client_recovers_from_every_fault() -> None:
    async def scene(server: MasterServer) -> None:
        client = MasterClient([server.url], timeout=SHORT)
        for fault, _, _ in FAULTS:
            server.faults.append(fault)
            with pytest.raises(MasterUnreachable):
                await client.state()
        client.timeout = LONG
        assert (await client.state()).status == "ALIVE"

    play(scene, fake())


@pytest.mark.parametrize(
    "url", ["http://no-such-host.invalid:8080", "ftp://h:1", "http://h:port", "http://", "http://[::1"]
)
def test_an_address_that_cannot_be_asked(url: str) -> None:
    with pytest.raises(MasterUnreachable) as raised:
        asyncio.run(MasterClient([url], timeout=LONG).state())
    assert raised.value.problem
    assert url in str(raised.value)


def test_refused(refused_url: str) -> None:
    url = refused_url
    with pytest.raises(MasterUnreachable, match=f"{url}: .*refused"):
        asyncio.run(MasterClient([url], timeout=LONG).state())


def test_no_address_at_all() -> None:
    with pytest.raises(MasterUnreachable, match="no address of a web UI"):
        asyncio.run(MasterClient([], timeout=LONG).state())


def test_a_client_outlives_its_event_loop(refused_url: str) -> None:
    async def scene(server: MasterServer) -> None:
        await MasterClient([server.url], timeout=LONG).state()

    play(scene, fake())
    client = MasterClient([refused_url], timeout=LONG)
    for _ in range(2):
        with pytest.raises(MasterUnreachable, match="refused"):
            asyncio.run(client.state())
        client.close()
        client.close()


# Cancellation.


def test_cancelling_ends_it_at_once_and_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    async def scene(server: MasterServer) -> None:
        server.fault = "slow"
        poll = asyncio.ensure_future(ask(server))
        await server.asked.wait()
        poll.cancel()
        with pytest.raises(asyncio.CancelledError):
            await poll
        server.ended.set()

    gc.collect()  # what other tests left says now what it has to say
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        play(scene, fake())
        gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_cancelling_leaves_no_task() -> None:
    async def scene(first: MasterServer, second: MasterServer) -> int:
        first.fault = second.fault = "slow"
        before = _client_tasks()
        poll = asyncio.ensure_future(ask(first, second))
        await first.asked.wait()
        await second.asked.wait()
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        return _client_tasks() - before

    assert play(scene, fake(), fake()) == 0


def _client_tasks() -> int:
    return sum("MasterClient" in str(task.get_coro()) for task in asyncio.all_tasks())


# Ending an application.


def notebook(master: FakeMaster) -> str:
    """The id of a running application."""
    app = master.submit("notebook", cores_max=2)
    master.step()
    return app.id


async def kill(app_id: str, *servers: MasterServer, timeout: float = LONG) -> None:
    await MasterClient([server.url for server in servers], timeout=timeout).kill_application(app_id)


def test_an_application_is_ended_and_its_cores_are_free() -> None:
    master = fake()
    ended, other = notebook(master), notebook(master)

    async def scene(server: MasterServer) -> ClusterState:
        await kill(ended, server)
        assert server.killed == [ended]
        return await ask(server)

    state = play(scene, master)
    assert [app.id for app in state.apps] == [other]
    assert [app.id for app in state.completed] == [ended]
    assert [app.state for app in master.completed] == ["KILLED"]
    assert capacity(state).cores_free == 2


def test_only_the_alive_master_is_told_to_end_it_even_after_a_failover() -> None:
    first, second = fake(name="first"), fake("STANDBY", "second")
    before, after = notebook(first), notebook(first)

    async def scene(*servers: MasterServer) -> list[list[str]]:
        client = MasterClient([server.url for server in servers], timeout=LONG)
        await client.kill_application(before)
        first.fail_over_to(second)
        second.complete_recovery()
        await client.kill_application(after)
        return [server.killed for server in servers]

    assert play(scene, first, second) == [[before], [after]]
    assert second.apps == []


def test_a_recovering_master_is_not_told_to_end_anything() -> None:
    async def scene(server: MasterServer) -> None:
        with pytest.raises(MasterUnreachable, match=f"{server.url}: it is RECOVERING") as raised:
            await kill("app-1", server)
        assert (raised.value.url, server.killed) == (server.url, [])

    play(scene, fake("RECOVERING"))


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("403", "HTTP 403 Forbidden instead of ending app-1"),
        ("500", "HTTP 500 Internal Server Error"),
        ("half-closed", "closed"),
        ("slow", "no complete answer within 0.3 s"),
    ],
)
def test_a_refusal_to_end_it_is_an_error_with_the_url(fault: Fault, message: str) -> None:
    async def scene(server: MasterServer) -> None:
        server.kill_fault = fault
        with pytest.raises(MasterUnreachable, match=message) as raised:
            await kill("app-1", server, timeout=SHORT if fault == "slow" else LONG)
        assert (raised.value.url, server.killed) == (server.url, [])

    play(scene, fake())


def test_nothing_is_ended_where_nobody_answers(refused_url: str) -> None:
    with pytest.raises(MasterUnreachable, match="refused"):
        asyncio.run(MasterClient([refused_url], timeout=LONG).kill_application("app-1"))


# Several masters.


@pytest.mark.parametrize("alive", [0, 1, 2])
def test_the_alive_one_is_found_and_remembered(alive: int) -> None:
    async def scene(*servers: MasterServer) -> list[int]:
        client = MasterClient([server.url for server in servers], timeout=LONG)
        for _ in range(3):
            assert (await client.state()).url == f"spark://m{alive}:7077"
        return [server.requests for server in servers]

    masters = [fake("ALIVE" if number == alive else "STANDBY", f"m{number}") for number in range(3)]
    counts = play(scene, *masters)
    assert counts[alive] == 3
    assert all(count <= 1 for number, count in enumerate(counts) if number != alive)


def test_an_alive_one_is_not_held_up_by_one_that_hangs() -> None:
    async def scene(hangs: MasterServer, alive: MasterServer) -> str:
        hangs.fault = "slow"
        return (await asyncio.wait_for(ask(hangs, alive, timeout=600), LONG)).url

    assert play(scene, fake(), fake(name="alive")) == "spark://alive:7077"


def test_failover() -> None:
    first, second = fake(name="first"), fake("STANDBY", "second")
    app = first.submit("notebook", cores_max=2)
    first.step()

    async def scene(*servers: MasterServer) -> list[tuple[str, str, int]]:
        client = MasterClient([server.url for server in servers], timeout=LONG)

        async def look() -> tuple[str, str, int]:
            state = await client.state()
            return state.url, state.status, Placement(state).grantable(ExecutorRequest(9, 1, 1024))

        seen = [await look()]
        first.fail_over_to(second)
        seen.append(await look())
        second.complete_recovery()
        return [*seen, await look(), await look()]

    assert play(scene, first, second) == [
        ("spark://first:7077", "ALIVE", 2),
        ("spark://second:7077", "RECOVERING", 0),
        ("spark://second:7077", "ALIVE", 2),
        ("spark://second:7077", "ALIVE", 2),
    ]
    assert app.cores == 2


def test_failover_from_a_master_that_hangs() -> None:
    async def scene(first: MasterServer, second: MasterServer) -> str:
        client = MasterClient([first.url, second.url], timeout=LONG)
        await client.state()
        first.fault, client.timeout = "slow", SHORT
        first.master.fail_over_to(second.master)
        second.master.complete_recovery()
        return (await client.state()).url

    assert play(scene, fake(name="first"), fake("STANDBY", "second")) == "spark://second:7077"


def test_recovering_alone_is_an_answer(refused_url: str) -> None:
    async def scene(server: MasterServer) -> ClusterState:
        return await MasterClient([refused_url, server.url], timeout=LONG).state()

    state = play(scene, fake("RECOVERING"))
    assert state.status == "RECOVERING"
    assert IdleCluster(state).fits(ExecutorRequest(4, 4, 1024))


def test_all_fail_in_one_error(refused_url: str) -> None:
    async def scene(standby: MasterServer, broken: MasterServer) -> None:
        broken.fault = "500"
        gone = refused_url
        with pytest.raises(MasterUnreachable) as raised:
            await MasterClient([standby.url, gone, broken.url], timeout=LONG).state()
        for part in (f"{standby.url}: it is STANDBY", f"{gone}: ", "refused", f"{broken.url}: HTTP 500"):
            assert part in str(raised.value)

    play(scene, fake("STANDBY"), fake())


# Pages.


def test_a_page_is_of_the_master_that_was_alive_last() -> None:
    async def scene(first: MasterServer, second: MasterServer) -> None:
        client = MasterClient([first.url, second.url], timeout=LONG)
        with pytest.raises(MasterUnreachable, match="no master is known to be ALIVE"):
            await client.text("/app/", 10)
        await client.state()
        second.pages["/app/"] = "a page of \u00e9t\u00e9"
        assert [await client.text("/app/", most) for most in (7, 1000)] == ["a page ", "a page of \u00e9t\u00e9"]
        assert await client.text(f"{second.url}/app/", 11) == "a page of \ufffd"
        second.pages.clear()
        with pytest.raises(MasterUnreachable, match=f"{second.url}/app/: HTTP 404 Not Found"):
            await client.text("/app/", 10)

    play(scene, fake("STANDBY"), fake())


def test_a_page_that_does_not_come(refused_url: str) -> None:
    async def scene(server: MasterServer) -> None:
        client = MasterClient([server.url], timeout=SHORT)
        await client.state()
        server.fault = "drip"
        with pytest.raises(MasterUnreachable, match="no complete answer within"):
            await client.text("/json/", 1000)
        for url in (refused_url, "ftp://h:1", "http://[::1"):
            with pytest.raises(MasterUnreachable) as raised:
                await client.text(url.replace("//", "//user:secret@"), 1000)
            assert "secret" not in str(raised.value)

    play(scene, fake())


# TLS.


@pytest.mark.parametrize(
    ("validate", "known", "good"), [(True, True, True), (False, False, True), (True, False, False)]
)
def test_https(certificate: Path, validate: bool, known: bool, good: bool) -> None:
    async def scene() -> str:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        async with MasterServer(fake(), ssl_options=context) as server:
            ca_certs = str(certificate) if known else None
            client = MasterClient([server.url], timeout=LONG, validate_cert=validate, ca_certs=ca_certs)
            try:
                await client.kill_application("app-1")
                assert server.killed == ["app-1"]
                return (await client.state()).status
            except MasterUnreachable as error:
                return str(error)

    assert (asyncio.run(scene()) == "ALIVE") is good


# Addresses.


def conf(master: str = "spark://h1:7077", environ: dict[str, str] | None = None, **properties: str) -> Any:
    values = {name.replace("_", "."): value for name, value in properties.items()}
    return SimpleNamespace(master=master, environ=environ or {}, get=values.get)


UI = {"SPARK_MASTER_WEBUI_PORT": "9000"}


@pytest.mark.parametrize(
    ("given", "urls"),
    [
        (conf(), ["http://h1:8080"]),
        (conf("spark://h1:7077,h2:7078"), ["http://h1:8080", "http://h2:8080"]),
        (conf("spark://h1:7077, h1:7078"), ["http://h1:8080"]),
        (conf("spark://[::1]:7077,[fe80::2]:7077"), ["http://[::1]:8080", "http://[fe80::2]:8080"]),
        (conf("local[*]"), []),
        (conf("yarn"), []),
        (conf(""), []),
        (conf(spark_master_ui_port="8090"), ["http://h1:8090"]),
        (conf(environ=UI), ["http://h1:9000"]),
        (conf(environ=UI, spark_master_ui_port="8090"), ["http://h1:8090"]),  # MasterArguments: the property wins
        (conf(spark_ssl_enabled="true"), ["https://h1:8480"]),
        (conf(spark_ssl_enabled="true", spark_ssl_standalone_enabled="false"), ["http://h1:8080"]),
        (conf(spark_ssl_standalone_enabled="TRUE", spark_master_ui_port="9000"), ["https://h1:9400"]),
        (conf(spark_ssl_enabled="true", spark_ssl_standalone_port="8443"), ["https://h1:8443"]),
        (conf(spark_ssl_enabled="true", spark_master_ui_port="65400"), ["https://h1:1288"]),  # Utils.userPort
        (conf(spark_ui_reverseProxy="true"), ["http://h1:8080"]),
    ],
)
def test_master_urls(given: Any, urls: list[str]) -> None:
    assert master_urls(given, None) == urls
    assert master_urls(given, " ") == urls


def test_the_trait_wins() -> None:
    trait = "https://a:1/, b:2/json/,http://[::1]:3,"
    assert master_urls(conf(), trait) == ["https://a:1", "http://b:2", "http://[::1]:3"]


@pytest.mark.parametrize("port", ["0", "65536", "-1", "eighty", "80 80", "²"])
def test_what_is_no_port(port: str) -> None:
    with pytest.raises(SparkConfError, match=r"spark\.master\.ui\.port"):
        master_urls(conf(spark_master_ui_port=port), None)
    with pytest.raises(SparkConfError, match="SPARK_MASTER_WEBUI_PORT"):
        master_urls(conf(environ={"SPARK_MASTER_WEBUI_PORT": port}), None)


def test_a_password_is_not_shown() -> None:
    assert shown("http://user:p%40ss@h:8080") == "http://h:8080"
    assert shown("http://h:8080") == "http://h:8080"


def test_a_password_stays_out_of_errors(refused_url: str) -> None:
    for scheme in ("http", "ftp"):
        url = refused_url.replace("http://", f"{scheme}://user:secret@")
        with pytest.raises(MasterUnreachable) as raised:
            asyncio.run(MasterClient([url], timeout=LONG).state())
        assert "secret" not in f"{raised.value} {raised.value.url}"


# A real one.


@pytest.mark.e2e
def test_a_real_master_and_worker(tmp_path: Path) -> None:
    pyspark = pytest.importorskip("pyspark")
    home = os.environ.get("SPARK_HOME") or str(Path(pyspark.__file__).parent)
    master, ui = held_port(), held_port()
    deploy = "org.apache.spark.deploy"
    at = ["-h", "127.0.0.1"]
    with (
        _jvm(home, tmp_path, f"{deploy}.master.Master", *at, "-p", str(master), "--webui-port", str(ui)),
        _jvm(
            home, tmp_path, f"{deploy}.worker.Worker", *at, "-c", "4", "-m", "4g", "--webui-port", "0",
            "-d", str(tmp_path), f"spark://127.0.0.1:{master}",
        ),
    ):  # fmt: skip
        state = _first_worker(f"http://127.0.0.1:{ui}")
    assert (state.url, state.status, state.apps) == (f"spark://127.0.0.1:{master}", "ALIVE", ())
    assert capacity(state) == Capacity(1, 4, 4, 4096, 4096)
    assert Placement(state).grantable(ExecutorRequest(5, 2, 1024)) == 4


@contextmanager
def _jvm(home: str, folder: Path, name: str, *arguments: str) -> Iterator[None]:
    """A JVM for the length of a `with`; `spark-class` turns into it, so its pid is the JVM's."""
    env = os.environ | {"SPARK_HOME": home, "SPARK_LOCAL_IP": "127.0.0.1"}
    with (folder / f"{name}.log").open("wb") as log:
        command = [f"{home}/bin/spark-class", name, *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=env, cwd=folder)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _first_worker(url: str) -> ClusterState:
    """Return what the client sees of a cluster that comes up, as soon as a worker has registered."""

    def look() -> ClusterState | None:
        with suppress(MasterUnreachable):
            state = asyncio.run(MasterClient([url], timeout=5).state())
            return state if state.workers else None
        return None

    return wait_until(look, "a worker", 90)
