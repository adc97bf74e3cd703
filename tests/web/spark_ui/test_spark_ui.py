"""A kernel's Spark UI through a gateway, with a program that stands for the driver; tests/e2e has the real ones."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from kg2at_personality.kernels.kind import KernelKind
from kg2at_personality.spark.driver_report import DriverReport
from kg2at_personality.spark.driver_ui import DriverUi, UiRequest
from kg2at_personality.system import processes
from tests.fakes.driver_ui import APP, CELL, JOB
from tests.fakes.identity import ALICE, BOB, ROOT, NamedTokens, with_users
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
KILL = "/jobs/job/kill/?id=1"


class Scene:
    """A kernel of alice's whose driver's UI runs; `report` is what its driver has reported."""

    def __init__(self, gateway: Any) -> None:
        self.gateway, self.report = gateway, DriverReport(app_id=APP, jobs=1)
        self.kernel_id = ""

    async def begin(self, who: dict[str, str] = ALICE) -> Scene:
        answer = await self.gateway.ask("POST", "/api/kernels", {"name": "python3"}, **who)
        self.kernel_id = json.loads(answer.body)["id"]
        port = await self.gateway.run(self.kernel_id, CELL)
        self.report = replace(self.report, ui_port=int(port))
        return self

    @property
    def root(self) -> str:
        return f"/kg2at/kernels/{self.kernel_id}/spark"

    async def ask(self, path: str, method: str = "GET", who: dict[str, str] = ALICE, **headers: str) -> HTTPResponse:
        """Ask the gateway for a page of the UI; redirects are not followed."""
        names = {name.replace("_", "-"): value for name, value in (who | headers).items()}
        return await AsyncHTTPClient().fetch(
            HTTPRequest(
                self.gateway.base_url + self.root + path,
                method=method,
                headers=names,
                body=b"" if method == "POST" else None,
                follow_redirects=False,
                decompress_response=False,
            ),
            raise_error=False,
        )

    async def have(self, path: str, body: bytes) -> None:
        """Have the driver answer `body` at a path from now on."""
        assert self.report.ui_port is not None
        url = DriverUi("127.0.0.1", self.report.ui_port).url
        await AsyncHTTPClient().fetch(f"{url}/set{path}", method="POST", body=body)

    async def asked(self) -> list[dict[str, Any]]:
        """Return the requests that came to the driver."""
        assert self.report.ui_port is not None
        answer = await DriverUi("127.0.0.1", self.report.ui_port).fetch(UiRequest("/asked"))
        return [each for each in json.loads(answer.body) if each["uri"] != "/asked"]


@pytest.fixture
def settings() -> Any:
    return with_users(NamedTokens)


@pytest.fixture
def scene(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(gateway)
    monkeypatch.setattr(KernelKind, "driver_report", lambda kind: made.report)
    yield made


# Pages.


async def test_pages_links_and_redirects(scene: Scene) -> None:
    await scene.begin()
    for path, target in (("", "/"), ("/", "/jobs/"), ("/elsewhere", "/jobs/?id=1")):
        answer = await scene.ask(path)
        assert (answer.code, answer.headers["Location"]) == (302, scene.root + target), path
    page = (await scene.ask("/jobs/")).body.decode()
    assert f'href="{scene.root}/jobs/job/?id=1"' in page and f"setUIRoot('{scene.root}')" in page
    assert (await scene.ask("/static/webui.css")).body == b"a {}" * 1000
    assert (await scene.ask("/nothing")).code == 404


async def test_where_the_configuration_says_where_the_pages_are_seen(scene: Scene) -> None:
    await scene.begin()
    page = (await scene.ask("/proxied")).body.decode()
    assert "elsewhere" not in page and f'src="{scene.root}' not in page
    assert f"setUIRoot('{scene.root}')" in page and f'href="{scene.root}/jobs/job/?id=1"' in page


async def test_what_is_zipped_stays_so(scene: Scene) -> None:
    await scene.begin()
    zipped = await scene.ask("/static/webui.css", Accept_Encoding="gzip")
    assert zipped.headers["Content-Encoding"] == "gzip" and zipped.body.startswith(b"\x1f\x8b")
    assert "Content-Encoding" not in (await scene.ask("/jobs/", Accept_Encoding="gzip")).headers


async def test_a_head(scene: Scene) -> None:
    await scene.begin()
    answer = await scene.ask("/static/webui.css", method="HEAD")
    assert (answer.code, answer.body) == (200, b"") and answer.headers["Content-Length"] == "4000"


async def test_an_answer_that_the_client_has_is_not_sent_again(scene: Scene) -> None:
    await scene.begin()
    first = await scene.ask("/static/webui.css")
    again = await scene.ask("/static/webui.css", If_None_Match=first.headers["Etag"])
    assert (again.code, again.body) == (304, b"")


# What goes on to the driver, and what comes back.


async def test_the_driver_learns_nothing_of_the_client(scene: Scene) -> None:
    await scene.begin()
    await scene.ask("/jobs/?a=1&token=token-of-alice&%74oken=token-of-alice&b=%26", Cookie="c=1", X_Custom="x")
    await scene.ask("/jobs/", Cookie="c=1", Proxy_Authorization="x", X_Forwarded_Context="/mine", Range="bytes=0-1")
    asked = await scene.asked()
    assert [each["uri"] for each in asked] == ["/jobs/?a=1&b=%26", "/jobs/"]
    for each in asked:
        assert "token-of-alice" not in json.dumps(each)
        assert each["headers"].pop("Host") == f"127.0.0.1:{scene.report.ui_port}"
        assert each["headers"].pop("X-Forwarded-Context") == scene.root
        assert set(each["headers"]) == {"Connection", "Accept-Encoding", "User-Agent"}


async def test_headers_of_the_answer(scene: Scene) -> None:
    await scene.begin()
    headers = (await scene.ask("/jobs/")).headers
    assert "Set-Cookie" not in headers and "X-Frame-Options" not in headers
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "same-origin"
    assert headers["Cache-Control"] == "private, no-cache"
    policy = headers["Content-Security-Policy"]
    assert "script-src 'self' 'unsafe-inline' 'unsafe-eval'" in policy and "frame-ancestors 'none'" in policy
    assert "worker-src 'none'" in policy and "sandbox" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "/../x",
        "/%2e%2e/x",
        "/a/..",
        "//elsewhere/",
        "/http://elsewhere/",
        "/a;b",
        "/a%2fb",
        "/a\\b",
        "/./a",
        "/ä",
        "/%",
    ],
)
async def test_paths_that_are_none_of_sparks(scene: Scene, path: str) -> None:
    await scene.begin()
    assert (await scene.ask(path)).code in (400, 404)
    assert await scene.asked() == []


@pytest.mark.parametrize(
    "head", [b"HTTP/1.1 101 Switching\r\n\r\n", b"HTTP/1.1 204 None\r\n\r\n", b"nothing\r\n\r\n", b""]
)
async def test_what_is_no_answer(scene: Scene, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    await scene.begin()
    server = await asyncio.start_server(lambda reader, writer: (writer.write(head), writer.close()), "127.0.0.1", 0)
    try:
        scene.report = replace(scene.report, ui_port=server.sockets[0].getsockname()[1])
        manager = scene.gateway.app.kernel_manager
        # tornado before 6.6 does not tell of an answer without a status line before the time is over.
        manager.timing = replace(manager.timing, ui_limit=3.0)
        monkeypatch.setattr(type(manager.get_kernel(scene.kernel_id)), "pid", os.getpid())
        assert (await scene.ask("/jobs/")).code == (204 if b"204" in head else 503)
    finally:
        server.close()


# Who may do what.


async def test_another_user_and_the_administrator(scene: Scene) -> None:
    await scene.begin()
    theirs = await scene.ask("/jobs/", who=BOB)
    assert theirs.code == 404 and json.loads(theirs.body)["message"] == f"Kernel does not exist: {scene.kernel_id}"
    seen = await scene.ask("/jobs/", who=ROOT)
    policy = seen.headers["Content-Security-Policy"]
    assert seen.code == 200 and "script-src" not in policy and "form-action 'none'" in policy
    # With allow-scripts beside it the page could take the sandbox away.
    assert policy.startswith("sandbox allow-same-origin;") and "another user's kernel" in seen.body.decode()


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
async def test_only_the_owner_ends_a_job(scene: Scene, method: str) -> None:
    await scene.begin()
    refused = await scene.ask(KILL, method=method, who=ROOT)
    assert refused.code == 403 and (await scene.asked()) == []
    ended = await scene.ask(KILL, method=method)
    assert (ended.code, ended.headers["Location"]) == (302, f"{scene.root}/jobs/")
    assert [(each["method"], each["uri"]) for each in await scene.asked()] == [(method, KILL)]


async def test_a_form_that_ends_a_job(scene: Scene) -> None:
    """As of Spark 4.3, from a browser that is known by something else than the header."""
    await scene.begin()
    path = f"{scene.root}/jobs/job/kill/?token=token-of-alice"
    referer = f"{scene.gateway.base_url}{scene.root}/jobs/"
    form = {"Content_Type": "application/x-www-form-urlencoded", "Origin": scene.gateway.base_url}
    answer = await scene.gateway.ask("POST", path, raw=b"id=7", Referer=referer, **form)
    assert answer.code in (200, 401), "the redirect of the answer, which shows no token"
    [asked] = await scene.asked()
    assert (asked["method"], asked["uri"], asked["body"]) == ("POST", "/jobs/job/kill/", "id=7")
    assert asked["headers"]["Content-Type"] == form["Content_Type"]


async def test_nothing_else_is_sent_to_it(scene: Scene) -> None:
    await scene.begin()
    answer = await scene.ask("/jobs/", method="POST")
    assert answer.code == 403 and "only shown" in json.loads(answer.body)["message"]
    assert await scene.asked() == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, 403),
        ({"Referer": "GATEWAYROOT/jobs/"}, 302),
        ({"Referer": "GATEWAYROOT/jobs/", "Sec_Fetch_Site": "same-origin"}, 302),
        ({"Referer": "https://front.example/ROOT/jobs/", "Sec_Fetch_Site": "same-origin"}, 403),
        ({"Referer": "https://front.exampleROOT/jobs/", "Sec_Fetch_Site": "same-origin"}, 302),
        ({"Referer": "https://elsewhereROOT/jobs/"}, 403),
        ({"Referer": "GATEWAYROOT/jobs/", "Sec_Fetch_Site": "cross-site"}, 403),
        ({"Referer": "GATEWAY/kg2at/kernels/1-2-3-4-5/spark/jobs/", "Sec_Fetch_Site": "same-origin"}, 403),
        ({"Sec_Fetch_Site": "same-origin"}, 403),
        ({"Referer": "http://["}, 403),
    ],
)
async def test_a_kill_comes_from_the_page_itself(scene: Scene, headers: dict[str, str], expected: int) -> None:
    """Where the client does not show its token, as a browser that is known by a cookie; here it is in the address."""
    await scene.begin()
    sent = {
        name: value.replace("GATEWAY", scene.gateway.base_url).replace("ROOT", scene.root)
        for name, value in headers.items()
    }
    answer = await scene.ask(f"{KILL}&token=token-of-alice", who={}, **sent)
    assert answer.code == expected, answer.body


# Where the UI is.


@pytest.mark.parametrize(
    ("report", "code", "said"),
    [
        (DriverReport(), 404, "Run a cell that uses Spark"),
        (DriverReport(is_starting=True), 503, "just starting"),
        (DriverReport(app_id=APP), 404, "spark.ui.enabled"),
        (DriverReport(app_id=APP, ui_port=None), 404, "Restart the kernel"),
    ],
)
async def test_why_there_is_none(scene: Scene, report: DriverReport, code: int, said: str) -> None:
    await scene.begin()
    scene.report = report
    answer = await scene.ask("/jobs/")
    assert answer.code == code and said in json.loads(answer.body)["message"]
    page = await scene.ask("/jobs/", Accept="text/html,*/*")
    assert page.code == code and said in page.body.decode() and page.headers["Content-Type"].startswith("text/html")
    assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    model = json.loads((await scene.gateway.ask("GET", f"/api/kernels/{scene.kernel_id}", **ALICE)).body)
    assert model["metadata"] == {"spark_ui": None}


async def test_where_the_models_and_the_status_say_it_is(scene: Scene) -> None:
    await scene.begin()
    model = json.loads((await scene.gateway.ask("GET", f"/api/kernels/{scene.kernel_id}", **ALICE)).body)
    [row] = json.loads((await scene.gateway.ask("GET", "/kg2at/status", **ALICE)).body)["kernels"]
    assert model["metadata"]["spark_ui"] == row["spark_ui"] == f"{scene.root}/"


async def test_a_port_of_another_process(scene: Scene) -> None:
    """As in a report that the user has written."""
    await scene.begin()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        scene.report = replace(scene.report, ui_port=server.getsockname()[1])
        answer = await scene.ask("/jobs/")
        assert answer.code == 503 and "Nothing of the kernel's listens" in json.loads(answer.body)["message"]
        with pytest.raises(BlockingIOError):
            server.accept()


async def test_a_port_of_another_kernel(scene: Scene) -> None:
    mine, theirs = (await scene.begin()).kernel_id, (await Scene(scene.gateway).begin(BOB)).report.ui_port
    scene.report = replace(scene.report, ui_port=theirs)
    assert (await scene.ask("/jobs/")).code == 503 and scene.kernel_id == mine


async def test_a_new_context_on_another_port(scene: Scene) -> None:
    await scene.begin()
    await scene.have("/environment/", b"first")
    assert (await scene.ask("/environment/")).body == b"first"
    scene.report = replace(scene.report, ui_port=int(await scene.gateway.run(scene.kernel_id, CELL)))
    await scene.have("/environment/", b"second")
    assert (await scene.ask("/environment/")).body == b"second"


@pytest.mark.parametrize(("app_id", "expected"), [(APP, 200), ("app-of-another", 503), (None, 503)])
async def test_where_the_system_does_not_tell_who_listens(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, app_id: str | None, expected: int
) -> None:
    """It must be the application that the kernel has at the master."""
    await scene.begin()
    monkeypatch.setattr(processes, "psutil", None)
    clusters = scene.gateway.app.kernel_manager.clusters
    lease = {} if app_id is None else {scene.kernel_id: {"app_id": app_id}}
    monkeypatch.setattr(clusters, "status", lambda: [{"leases": lease}])
    assert (await scene.ask("/jobs/")).code == expected


async def test_a_kernel_that_has_ended(scene: Scene) -> None:
    await scene.begin()
    assert (await scene.gateway.ask("DELETE", f"/api/kernels/{scene.kernel_id}", **ALICE)).code == 204
    answer = await scene.ask("/jobs/", Accept="text/html")
    assert answer.code == 404 and "Kernel does not exist" in answer.body.decode()


async def test_a_kernel_that_is_dead(scene: Scene) -> None:
    await scene.begin()
    kernel = scene.gateway.app.kernel_manager.get_kernel(scene.kernel_id)
    await kernel.kill_process()
    await kernel.mark_dead("It died.")
    answer = await scene.ask("/jobs/")
    assert answer.code == 404 and "Restart the kernel" in json.loads(answer.body)["message"]


# Bounds.


async def test_an_answer_that_is_too_large(scene: Scene) -> None:
    await scene.begin()
    assert (await scene.ask("/large")).code == 503
    assert (await scene.ask("/jobs/")).code == 200


async def test_clients_that_hang_up(scene: Scene) -> None:
    """More than may ask at a time: their requests end with the driver's answers, and others come next."""
    await scene.begin()
    asked = f"GET {scene.root}/slow HTTP/1.1\r\nHost: localhost\r\nAuthorization: {ALICE['Authorization']}\r\n\r\n"
    address = scene.gateway.base_url.rpartition("/")[2].split(":")
    writers = [(await asyncio.open_connection(*address))[1] for _ in range(9)]
    for writer in writers:
        writer.write(asked.encode())
    uis = scene.gateway.app.kernel_manager.spark_uis
    await until(lambda: uis.is_busy(scene.kernel_id), "six requests")
    for writer in writers:
        writer.close()
    await scene.gateway.run(scene.kernel_id, "ui.kill()")
    await until(lambda: not uis.is_busy(scene.kernel_id), "their end")
    assert (await scene.ask("/jobs/")).code == 503


async def test_a_client_that_hangs_up_in_a_large_answer(scene: Scene) -> None:
    await scene.begin()
    await scene.have("/environment/", b" " * 12_000_000)
    asked = f"GET {scene.root}/environment/ HTTP/1.1\r\nHost: x\r\nAuthorization: {ALICE['Authorization']}\r\n\r\n"
    reader, writer = await asyncio.open_connection(*scene.gateway.base_url.rpartition("/")[2].split(":"))
    writer.write(asked.encode())
    assert b"200 OK" in await reader.read(1000)
    writer.transport.abort()
    assert (await scene.ask("/environment/")).body == b" " * 12_000_000


# Jobs.


async def rows(scene: Scene, looks: bool = True) -> dict[str, Any]:
    path = "/kg2at/status" + ("?jobs=true" if looks else "")
    [row] = json.loads((await scene.gateway.ask("GET", path, **ALICE)).body)["kernels"]
    return dict(row)


JOBS_PATH = f"/api/v1/applications/{APP}/jobs"


async def test_jobs_are_told_while_somebody_looks(scene: Scene) -> None:
    await scene.begin()
    await scene.have(JOBS_PATH, json.dumps([JOB, JOB | {"jobId": 2, "description": "mine <b>" + "x" * 500}]).encode())
    for _ in range(3):
        row = await rows(scene, looks=False)
        assert row["jobs"] == [] and row["jobs_running"] == 1
    assert await scene.asked() == []
    assert (await rows(scene))["jobs"] == [], "it does not wait for the driver"
    jobs = scene.gateway.app.kernel_manager.spark_jobs
    await until(lambda: jobs.rows(scene.kernel_id, scene.report), "the jobs")
    second, third = (await rows(scene, looks=False))["jobs"]
    assert third.pop("seconds") >= 0 and len(second["name"]) == 200 and second["name"].startswith("mine <b>x")
    progress = {"tasks": 8, "done": 4, "failed": 1, "stages": 2, "stages_done": 1}
    assert third == {"id": 3, "name": "count at <console>:24"} | progress
    assert [each["uri"] for each in await scene.asked()] == [f"{JOBS_PATH}?status=running"]
    scene.report = replace(scene.report, jobs=0)
    assert (await rows(scene))["jobs"] == []


@pytest.mark.parametrize(
    "body", [b"", b"nothing", b"{}", b"[1]", b"[" * 10_000, json.dumps([JOB | {"jobId": "x"}]).encode()]
)
async def test_a_driver_that_tells_no_jobs(scene: Scene, body: bytes) -> None:
    await scene.begin()
    await scene.have(JOBS_PATH, body)
    assert (await rows(scene))["jobs"] == []
    asked = 0
    while not asked:
        asked = len(await scene.asked())
    assert (await rows(scene))["jobs"] == []


async def test_many_jobs(scene: Scene) -> None:
    await scene.begin()
    await scene.have(JOBS_PATH, json.dumps([JOB | {"jobId": each} for each in range(3000, 0, -1)]).encode())
    scene.report = replace(scene.report, jobs=3000)
    await rows(scene)
    jobs = scene.gateway.app.kernel_manager.spark_jobs
    await until(lambda: jobs.rows(scene.kernel_id, scene.report), "the jobs")
    row = await rows(scene)
    assert [job["id"] for job in row["jobs"]] == list(range(1, 21)) and row["jobs_running"] == 3000
