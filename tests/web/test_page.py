"""The page: what it shows of a status, to whom, and how a browser gets and stays in."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from kg2at_personality.kernels.user import ADMINISTRATOR
from kg2at_personality.web.identity.page_cookie import LIFETIME, MOST, PageSessions
from kg2at_personality.web.page import html_handler, page_handler
from kg2at_personality.web.page.page_view import page_of
from tests.fakes.identity import ALICE, BOB, ROOT, USERS, with_users
from tests.fakes.master import FakeMaster
from tests.fakes.master_server import MasterServer
from tests.fakes.toree import FakeSpark

HTML = {"Accept": "text/html,application/xhtml+xml"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def settings() -> Any:
    return with_users()


async def fetch(gateway: Any, path: str, method: str = "GET", body: str | None = None, **headers: str) -> HTTPResponse:
    """Return the answer itself, also where it leads elsewhere."""
    return await AsyncHTTPClient().fetch(
        gateway.base_url + path,
        method=method,
        body=body,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        raise_error=False,
        follow_redirects=False,
    )


def cookie_of(answer: HTTPResponse) -> str:
    return answer.headers["Set-Cookie"].partition(";")[0]


async def signed_in(gateway: Any, who: str = "alice") -> str:
    """Return the cookie of somebody who has followed the link of the log."""
    return cookie_of(await fetch(gateway, f"/kg2at/?token=token-of-{who}"))


# How a browser gets in.


@pytest.mark.gen_test
async def test_a_token_in_the_address_becomes_a_cookie(gateway: Any) -> None:
    answer = await fetch(gateway, "/kg2at/?token=token-of-alice", **HTML)
    assert (answer.code, answer.headers["Location"]) == (303, "/kg2at/")
    cookie = answer.headers["Set-Cookie"]
    assert "token-of-alice" not in cookie
    told = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert told == {"httponly", "path=/kg2at/", "samesite=strict"}
    shown = await fetch(gateway, "/kg2at/", Cookie=cookie_of(answer), **HTML)
    assert shown.code == 200 and b"<p>alice</p>" in shown.body


@pytest.mark.gen_test
async def test_over_tls_the_cookie_is_sent_over_tls_alone(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        page_handler.PageHandler, "initialize", lambda self: setattr(self.request, "protocol", "https"), raising=False
    )
    assert "; Secure" in (await fetch(gateway, "/kg2at/?token=token-of-alice")).headers["Set-Cookie"]


@pytest.mark.gen_test
@pytest.mark.parametrize("path", ["/", "/kg2at"])
async def test_the_gateways_own_address_leads_there_with_the_token(gateway: Any, path: str) -> None:
    answer = await fetch(gateway, f"{path}?token=token-of-alice")
    assert (answer.code, answer.headers["Location"]) == (303, "/kg2at/?token=token-of-alice")
    assert "Set-Cookie" not in answer.headers


@pytest.mark.gen_test
async def test_a_browser_that_nobody_knows_is_asked_for_a_token(gateway: Any) -> None:
    answer = await fetch(gateway, "/kg2at/", **HTML)
    assert answer.code == 401 and b'action="/kg2at/sign-in"' in answer.body
    wrong = await fetch(gateway, "/kg2at/?token=wrong", **HTML)
    assert wrong.code == 401 and b"Nobody has this token" in wrong.body
    assert b'action="/kg2at/sign-in"' in (await fetch(gateway, "/", **HTML)).body
    assert json.loads((await fetch(gateway, "/kg2at/")).body)["reason"] == "Unauthorized"


@pytest.mark.gen_test
async def test_the_form(gateway: Any) -> None:
    answer = await fetch(gateway, "/kg2at/sign-in", "POST", urlencode({"token": " token-of-bob\n"}), **FORM, **HTML)
    assert (answer.code, answer.headers["Location"]) == (303, "/kg2at/")
    assert b"<p>bob</p>" in (await fetch(gateway, "/kg2at/", Cookie=cookie_of(answer))).body
    for body in (urlencode({"token": "wrong"}), "", urlencode({"token": ""})):
        refused = await fetch(gateway, "/kg2at/sign-in", "POST", body, **FORM, **HTML)
        assert refused.code == 401 and "Set-Cookie" not in refused.headers, body


@pytest.mark.gen_test
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_no_other_page_signs_anybody_in(gateway: Any, origin: str) -> None:
    form = urlencode({"token": "token-of-bob"})
    answer = await fetch(gateway, "/kg2at/sign-in", "POST", form, Origin=origin, **FORM, **HTML)
    assert answer.code == 404 and "Set-Cookie" not in answer.headers


@pytest.mark.gen_test
async def test_who_signs_out_is_out(gateway: Any) -> None:
    cookie = await signed_in(gateway)
    own = {"Origin": gateway.base_url, "Cookie": cookie}
    assert (await fetch(gateway, "/kg2at/sign-out", "POST", "", **own)).code == 303
    assert (await fetch(gateway, "/kg2at/", Cookie=cookie)).code == 401


# What the cookie is good for.


@pytest.mark.gen_test
async def test_the_cookie_holds_for_the_page_alone(gateway: Any) -> None:
    cookie = await signed_in(gateway)
    answers = {
        path: (await fetch(gateway, path, Cookie=cookie)).code
        for path in ("/kg2at/", "/kg2at/status", "/kg2at", "/", "/api", "/api/kernels", "/api/kernelspecs")
    }
    assert answers == dict.fromkeys(answers, 401) | {"/kg2at/": 200, "/kg2at/status": 200}
    kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)).body)["id"]
    assert (
        await fetch(gateway, f"/api/kernels/{kernel_id}", "DELETE", Cookie=cookie, Origin=gateway.base_url)
    ).code == 401


@pytest.mark.gen_test(timeout=60)
async def test_the_button_ends_a_kernel_for_the_pages_own_origin_alone(gateway: Any) -> None:
    kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)).body)["id"]
    path, cookie = f"/kg2at/kernels/{kernel_id}", await signed_in(gateway)
    for origin in ({}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
        assert (await fetch(gateway, path, "DELETE", Cookie=cookie, **origin)).code == 401
    other = await signed_in(gateway, "bob")
    assert (await fetch(gateway, path, "DELETE", Cookie=other, Origin=gateway.base_url)).code == 404
    assert (await fetch(gateway, path, Cookie=cookie, Origin="http://evil.example")).code == 401
    assert gateway.app.kernel_manager.list_kernel_ids() == [kernel_id]
    for _ in range(2):
        assert (await fetch(gateway, path, "DELETE", Cookie=cookie, Origin=gateway.base_url)).code == 204
    assert gateway.app.kernel_manager.list_kernel_ids() == []


@pytest.mark.gen_test
async def test_the_provider_is_asked_anew_at_each_request(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = await signed_in(gateway)
    monkeypatch.delitem(USERS, "token-of-alice")
    assert (await fetch(gateway, "/kg2at/", Cookie=cookie)).code == 401


@pytest.mark.gen_test
@pytest.mark.parametrize("cookie", ["{}=", "{}=x", '{}="; Path=/"', "{}=" + "x" * 5000, "other=1", ";;="])
async def test_a_cookie_that_nobody_has(gateway: Any, cookie: str) -> None:
    name = (await signed_in(gateway)).partition("=")[0]
    assert (await fetch(gateway, "/kg2at/", Cookie=cookie.format(name))).code == 401


@pytest.mark.gen_test
async def test_a_token_goes_before_the_cookie(gateway: Any) -> None:
    cookie = await signed_in(gateway)
    assert b"<p>bob</p>" in (await fetch(gateway, "/kg2at/", Cookie=cookie, **BOB)).body
    assert (await fetch(gateway, "/kg2at/", Cookie=cookie, Authorization="token wrong")).code == 401


def test_a_sign_in_ends_after_a_time() -> None:
    now = [0.0]
    sessions = PageSessions(lambda: now[0])
    secret = sessions.begin("mine")
    now[0] = LIFETIME
    assert sessions.token_of(secret) == "mine"
    now[0] += 1
    assert sessions.token_of(secret) == "" == sessions.token_of("")


def test_the_oldest_of_too_many_is_forgotten() -> None:
    sessions = PageSessions()
    secrets = [sessions.begin(str(number)) for number in range(MOST + 1)]
    assert sessions.token_of(secrets[0]) == "" and sessions.token_of(secrets[1]) == "1"
    assert len(set(secrets)) == MOST + 1


# What it shows.


@pytest.mark.gen_test(timeout=60)
async def test_everybody_sees_what_is_theirs(gateway: Any) -> None:
    kernel_id = json.loads((await gateway.ask("POST", "/api/kernels", {"name": "python3"}, **ALICE)).body)["id"]
    seen = {
        name: (await gateway.ask("GET", "/kg2at/", **who)).body.decode()
        for name, who in {"alice": ALICE, "bob": BOB, "root": ROOT}.items()
    }
    assert [name for name, page in seen.items() if f'id="kernel-{kernel_id}"' in page] == ["alice", "root"]
    assert [name for name, page in seen.items() if "Kernels that wait for users" in page] == ["root"]
    assert f'data-shutdown="{kernel_id}"' in seen["alice"] and "alice" not in seen["bob"]


@pytest.mark.gen_test
async def test_nothing_but_what_is_the_pages_own_runs_in_it(gateway: Any) -> None:
    answers = [await gateway.ask("GET", "/kg2at/", **ALICE) for _ in range(2)]
    policies = [answer.headers["Content-Security-Policy"] for answer in answers]
    assert policies[0] != policies[1], "a nonce holds for one answer"
    [script, style] = re.findall(r"(?:script|style)-src 'nonce-([^']+)'", policies[0])
    page = answers[0].body.decode()
    assert script == style and page.count(f'nonce="{script}"') == 2 == page.count("nonce=")
    assert "default-src 'none'" in policies[0] and "unsafe" not in policies[0]
    assert not re.search(r"""\s(?:on\w+|style)=|https?://|src=""", page), "no handler, style or address in an element"
    assert answers[0].headers["Cache-Control"] == "no-store"


@pytest.mark.gen_test
async def test_the_part_that_changes(gateway: Any) -> None:
    answer = await gateway.ask("GET", "/kg2at/?part=main", **ALICE)
    page = answer.body.decode()
    assert page.startswith('<main id="main">') and page.rstrip().endswith("</main>") and "<script" not in page


EVIL = "<script>alert(1)</script>\"'&"


def status(**more: Any) -> dict[str, Any]:
    """A status with one cluster of 8 cores, and `more` of its parts."""
    cluster = {
        "master": "spark://m:7077",
        "status": "ALIVE",
        "age_s": 2.0,
        "workers": 1,
        "worker_list": [
            {"host": "w", "state": "ALIVE", "cores": 8, "cores_used": 5, "memory_mib": 8192, "memory_used_mib": 2560}
        ],
        "cores_total": 8,
        "cores_free": 3,
        "cores_notebooks": 4,
        "cores_promised": 2,
        "memory_total_mib": 8192,
        "memory_free_mib": 5632,
        "memory_notebooks_mib": 2048,
        "memory_promised_mib": 1024,
    }
    cluster |= more.pop("cluster", {})
    empty: dict[str, Any] = {"queue": [], "kernels": [], "zombies": [], "failures": []}
    warm = {"kernels": [], "paused": "", "missed": {}, "handed_out": 0}
    return empty | {"warm": warm, "clusters": [{"cluster": cluster}]} | more


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
KERNEL: dict[str, Any] = {
    "kernel_id": "1-2-3-4-5",
    "name": "apache_toree_scala",
    "user": "ann",
    "cores_held": 4,
    "cores_admitted": 4,
    "given_back": 0,
    "execution_state": "idle",
    "lease": "running",
    "reason": "",
    "jobs": [],
    "jobs_running": 0,
    "spark_ui": None,
    "since": NOW - timedelta(hours=1),
    "idle_since": NOW - timedelta(minutes=12),
}
WAIT = {"kernel_id": "1-2-3-4-5", "name": "n", "user": "ann", "cores": 1, "waited_s": 12.3, "position": 2}


def test_the_bars_have_parts_for_all_of_it() -> None:
    [cluster] = page_of(status(), ADMINISTRATOR, NOW)["clusters"]
    cores, memory = cluster["bars"]
    assert [(part.kind, part.text, part.x, part.width) for part in cores.parts] == [
        ("notebooks", "4 held by notebooks", 0.0, 50.0),
        ("others", "1 used by others", 50.0, 12.5),
        ("promised", "2 promised", 62.5, 25.0),
        ("free", "1 free", 87.5, 12.5),
    ]
    assert memory.text == (
        "Memory: 8.0 GiB in all; 2.0 GiB held by notebooks, 0.5 GiB used by others, 1.0 GiB promised, 4.5 GiB free"
    )
    assert cluster["workers"] == [{"host": "w", "state": "alive", "cores": "5 of 8", "memory": "2.5 GiB of 8.0 GiB"}]


@pytest.mark.parametrize(
    "more",
    [
        {"cores_notebooks": 9, "cores_promised": 9},
        {"cores_total": 0, "cores_free": 0, "memory_total_mib": 0, "memory_free_mib": 0},
        {"cores_free": 8, "cores_notebooks": 0, "cores_promised": 8},
    ],
)
def test_no_part_of_a_bar_is_negative_or_beyond_the_whole(more: dict[str, int]) -> None:
    """The leases may be newer than the master's answer."""
    for bar in page_of(status(cluster=more), ADMINISTRATOR, NOW)["clusters"][0]["bars"]:
        widths = [part.width for part in bar.parts]
        assert min(widths) >= 0 and sum(widths) in (0, pytest.approx(100))


@pytest.mark.parametrize(
    ("row", "wait", "expected"),
    [
        ({}, None, "idle for 12 min"),
        ({"lease": "resting"}, None, "idle for 12 min; context stopped"),
        ({"lease": "promised"}, None, "idle for 12 min; Spark not used yet"),
        ({"given_back": 3}, None, "idle for 12 min; 3 cores given back"),
        ({"idle_since": None}, None, "idle, Spark works for it"),
        ({"execution_state": "busy"}, None, "busy"),
        ({"execution_state": "starting"}, None, "starting"),
        ({"execution_state": "busy"}, WAIT | {"app_id": "app-1"}, "waiting for 1 core, place 2, for 12 s"),
        ({"execution_state": "dead", "reason": "It died."}, None, "dead: It died."),
    ],
)
def test_the_state_of_a_kernel_in_plain_words(row: dict[str, Any], wait: Any, expected: str) -> None:
    shown = page_of(status(kernels=[KERNEL | row], queue=[wait] if wait else []), ADMINISTRATOR, NOW)
    assert [kernel["words"] for kernel in shown["kernels"]] == [expected]
    assert shown["queue"] == []


def rendered(**parts: Any) -> str:
    page = page_of(status(**parts), ADMINISTRATOR, NOW)
    return html_handler.TEMPLATES.get_template("page.html").render(nonce="n", base="/kg2at/", page=page)


def test_all_of_it_is_shown() -> None:
    job = {"name": "count at <stdin>:1", "tasks": 40, "done": 10, "failed": 0}
    page = rendered(
        kernels=[KERNEL | {"jobs": [job], "spark_ui": "/kg2at/kernels/1-2-3-4-5/spark/"}],
        queue=[WAIT | {"kernel_id": "2-2-3-4-5", "app_id": None}],
        zombies=[{"kernel_id": "z", "name": "n", "pid": 7, "since": NOW, "reason": "it outlives SIGKILL"}],
        failures=[{"time": NOW, "kernel_id": "f", "name": "n", "user": "bob", "what": "refused", "message": "busy"}],
        warm={"kernels": [{"kernel_id": "w", "name": "n", "state": "ready", "since": NOW}], "paused": "no memory"},
    )
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page.partition("<main")[2]))
    for expected in (
        "10 of 40 tasks",
        "idle for 12 min",
        "Spark UI",
        "it outlives SIGKILL",
        "refused",
        "None is started now: no memory.",
        "2026-01-02 03:04:05 UTC",
        "12 s",
    ):
        assert expected in text, expected
    assert '<progress max="40" value="10">' in page


def test_what_comes_from_cluster_and_clients_is_text() -> None:
    wait = WAIT | {"kernel_id": "2-2-3-4-5", "app_id": None, "user": EVIL, "name": EVIL}
    page = rendered(
        cluster={"master": EVIL, "error": EVIL, "status": EVIL, "worker_list": [
            {"host": EVIL, "state": EVIL, "cores": 1, "cores_used": 1, "memory_mib": 1, "memory_used_mib": 1}]},
        kernels=[KERNEL | {"name": EVIL, "user": EVIL, "jobs": [{"name": EVIL, "tasks": 1, "done": 0, "failed": 0}],
                           "execution_state": "dead", "reason": EVIL}],
        queue=[wait],
        zombies=[{"kernel_id": "z", "name": EVIL, "pid": 7, "since": NOW, "reason": EVIL}],
        failures=[{"time": NOW, "kernel_id": EVIL, "name": EVIL, "user": EVIL, "what": EVIL, "message": EVIL}],
        warm={"kernels": [{"kernel_id": "w", "name": EVIL, "state": EVIL, "since": NOW}], "paused": EVIL},
    )  # fmt: skip
    assert page.count("<script") == 1 and "alert(1)" in page and EVIL not in page


def test_a_master_that_is_away_and_one_that_was_never_asked() -> None:
    assert "The master does not answer: refused" in rendered(cluster={"error": "refused"})
    unknown = dict.fromkeys(("cores_total", "cores_free", "memory_total_mib", "memory_free_mib", "master", "age_s"))
    assert "not asked yet" in rendered(cluster=unknown | {"status": "not asked yet", "worker_list": []})
    assert "No kernel has asked for a standalone cluster yet." in rendered(clusters=[])


def test_a_page_of_very_many_is_bounded() -> None:
    kernels = [KERNEL | {"kernel_id": f"{number}-2-3-4-5"} for number in range(1000)]
    queue = [WAIT | {"kernel_id": f"{number}-3-3-4-5", "app_id": None} for number in range(500)]
    page = rendered(kernels=kernels, queue=queue)
    assert page.count("<button data-shutdown=") == 200 and "And 900 more." in page and "And 400 more." in page


@pytest.mark.gen_test(timeout=60)
async def test_a_page_before_the_first_kernel_shows_the_cluster_and_that_it_goes_away(
    gateway: Any, spark: FakeSpark, monkeypatch: pytest.MonkeyPatch
) -> None:
    eager = replace(gateway.app.personality.timing, ready_look=0.0, ready_patience=20.0)
    monkeypatch.setattr(gateway.app.personality.readiness, "_timing", eager)
    master = FakeMaster()
    master.add_worker(8, 16 * 1024)
    async with MasterServer(master) as server:
        spark.defaults(f"spark.master.ui.port {server.url.rpartition(':')[2]}", master="spark://127.0.0.1:7077")
        found = await page_with(gateway, "8 free")
        assert "start now" not in found
    found = await page_with(gateway, "The master does not answer")
    assert "Kernels can't start now. No Spark master answers" in found
    assert "8 free" in found, "what was seen last, with its age"


async def page_with(gateway: Any, text: str) -> str:
    """Return the page as soon as it shows a text."""
    while text not in (page := (await gateway.ask("GET", "/kg2at/?part=main", **ROOT)).body.decode()):
        pass
    return page
