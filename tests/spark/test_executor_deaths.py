"""Executors that end by themselves, asked of the fake master over real sockets; once of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from kg2at_personality.errors import MasterUnreachable
from kg2at_personality.spark.executor_deaths import MAX_LINE, MAX_PAGE, ExecutorDeaths, executor_deaths
from kg2at_personality.spark.master import MasterClient
from kg2at_personality.spark.redaction import Redactor
from tests.fakes.master import FakeMaster, FakeWorker
from tests.fakes.master_server import MasterServer

EXITED = (Path(__file__).parent / "pages" / "exited.html").read_text()
APP, WORKER = "app-20261126050832-0000", "worker-20261126050828-127.0.0.1-41431"
ROW = (
    "<tr><td>{id}</td><td>" + WORKER + "</td><td>EXITED</td><td>"
    '<a href="{ui}/logPage/?appId=' + APP + '&amp;executorId={id}&amp;logType=stderr">stderr</a></td></tr>'
)
#: What a worker of Spark 3.5.9 answers, shortened.
COMMAND = 'Spark Executor Command: "/usr/bin/java" "-cp" "/opt/spark/jars/*" "-javaagent:/no/such.jar"'
RULE = "=" * 40
NO_AGENT = "Error opening zip file or JAR manifest missing : /no/such.jar"
REDACTOR = Redactor(values={"spark.my.password": "sesame-0815"})
LONG = 20.0  # seconds; time-outs that must not pass


def log(*lines: str, begin: int = 0, end: int = 1561) -> str:
    return "\n".join((f"==== Bytes {begin}-{end} of {end} of /work/{APP}/349/stderr ====", *lines, ""))


LOG = log(COMMAND, RULE, "", NO_AGENT)


def play(scene: Callable[[MasterServer, FakeWorker], Awaitable[ExecutorDeaths]]) -> ExecutorDeaths:
    """Run `scene(server, worker)`: the server is the worker's too, and has the recorded page and a log."""

    async def on_stage() -> ExecutorDeaths:
        master = FakeMaster()
        worker = master.add_worker(4, 4096)
        worker.id = WORKER
        async with MasterServer(master) as server:
            worker.web_ui = server.url
            server.pages = {"/app/": EXITED, "/log/": LOG}
            return await scene(server, worker)

    return asyncio.run(on_stage())


async def ask(server: MasterServer, app_id: str = APP) -> ExecutorDeaths:
    return await executor_deaths(MasterClient([server.url], timeout=LONG), app_id, REDACTOR)


def said(answer: str) -> tuple[str, ...]:
    """What is told of a worker's answer."""

    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.pages["/log/"] = answer
        return await ask(server)

    return play(scene).last_lines


def test_they_are_counted_and_the_last_one_is_quoted() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        found = await ask(server)
        page, log = map(urlsplit, server.asked_pages)
        assert (page.path, parse_qs(page.query)) == ("/app/", {"appId": [APP]})
        assert log.path == "/log/" and parse_qs(log.query)["executorId"] == ["349"]
        return found

    assert play(scene) == ExecutorDeaths(4, (NO_AGENT,))


def test_what_stderr_does_not_say_stdout_may() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.pages["/log/"] = log(COMMAND, RULE, "")
        found = await ask(server)
        kinds = [parse_qs(urlsplit(uri).query)["logType"] for uri in server.asked_pages[1:]]
        assert kinds == [["stderr"], ["stdout"]]
        return found

    assert play(scene) == ExecutorDeaths(4, ())


def test_an_application_that_the_master_does_not_know_has_none() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        found = await ask(server, "app-20261126050832-0001&x=<y>")
        assert len(server.asked_pages) == 1
        return found

    assert play(scene) == ExecutorDeaths()


def test_a_master_that_recovers_is_not_asked() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.master.status = "RECOVERING"
        found = await ask(server)
        assert server.asked_pages == []
        return found

    assert play(scene) == ExecutorDeaths()


def test_a_master_without_the_page() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.pages.clear()
        with pytest.raises(MasterUnreachable, match="HTTP 404"):
            await ask(server)
        return ExecutorDeaths()

    play(scene)


# Where the log is.


def test_a_page_sends_the_gateway_nowhere() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.pages["/app/"] = ROW.format(id=3, ui="http://no-such-host.invalid:1")
        return await ask(server)

    assert play(scene) == ExecutorDeaths(1, (NO_AGENT,))


@pytest.mark.parametrize("ui", [f"/proxy/{WORKER}", f"https://front/proxy/{WORKER}"])
def test_behind_a_reverse_proxy_the_master_is_asked(ui: str) -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        worker.web_ui = "http://no-such-host.invalid:1"
        server.pages = {"/app/": ROW.format(id=3, ui=ui), f"/proxy/{WORKER}/log/": LOG}
        return await ask(server)

    assert play(scene) == ExecutorDeaths(1, (NO_AGENT,))


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "file:///etc",
            "ftp://127.0.0.1:1",
            "//127.0.0.1:1",
            "127.0.0.1:1",
            "http://",
            "http://[::1",
            "http://h:x",
        ),
        *(
            "http://u:p@127.0.0.1:1",
            "http://127.0.0.1:1/admin",
            "http://127.0.0.1:1/",
            "http://127.0.0.1:1?",
            "http://127.0.0.1:1/?x=1",
        ),
        *("http://127.0.0.1:1#x", "http://127.0.0.1\r\nx:1", "http://no-such-host.invalid:1"),
    ],
)
def test_a_worker_without_a_web_address_says_nothing(address: str) -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        worker.web_ui = address
        found = await ask(server)
        assert len(server.asked_pages) == 1
        return found

    assert play(scene) == ExecutorDeaths(4, ())


@pytest.mark.parametrize("change", [{"state": "DEAD"}, {"id": "worker-1"}])
def test_a_worker_that_is_gone_is_not_asked(change: dict[str, str]) -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        for name, value in change.items():
            setattr(worker, name, value)
        found = await ask(server)
        assert len(server.asked_pages) == 1
        return found

    assert play(scene) == ExecutorDeaths(4, ())


# What the log says.


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "<html>Log in, please</html>",
        "==== Bytes many ====\nx",
        f"==== Bytes 0-{'9' * 5000} of \nx",
        log("Error: invalid log directory /work/1", end=0),
        log("one long line that begins before", begin=9),
    ],
)
def test_what_is_no_log_says_nothing(answer: str) -> None:
    assert said(answer) == ()


def test_the_reason_is_told_and_no_secret() -> None:
    main = 'Exception in thread "main" java.io.IOException: Failed to connect with sesame-0815'
    trace = main, "\tat A.b(A.scala:1)", "Caused by: x password: y z"
    lines = COMMAND, RULE, "", "INFO begins", "token=abcdef"
    assert said(log(*lines, *trace)) == (
        main.replace("sesame-0815", "*********(redacted)"),
        " at A.b(A.scala:1)",
        "Caused by: x password: *********(redacted) z",
    )
    assert said(log(*lines)) == ("INFO begins", "token=*********(redacted)")


def test_half_a_secret_is_one() -> None:
    assert said(log("same-0815", "the end", begin=100)) == ("the end",)


def test_a_log_is_bounded_and_printable() -> None:
    told = said(log(*["x" * 2000 + "\x1b[31m\u202e\0"] * 5, begin=0) + "y" * 10_000_000)
    assert told == ("x" * MAX_LINE,) * 4 + ("y" * MAX_LINE,)
    assert said(log("a\x1b[31mb\u202ec\rd")) == ("a [31mb c", "d")


def test_a_long_page_is_read_to_its_bound() -> None:
    async def scene(server: MasterServer, worker: FakeWorker) -> ExecutorDeaths:
        server.pages["/app/"] = "".join(ROW.format(id=number, ui=server.url) for number in range(20_000))
        return await ask(server)

    found = play(scene)
    assert MAX_PAGE // 1000 < found.count <= 2000 and found.last_lines == (NO_AGENT,)
