"""What Prometheus gets: everything from the start, nothing that grows without bound, and nobody's name."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from kg2at_personality.admission.master_view import MasterView
from kg2at_personality.errors import MalformedAnswer, MasterUnreachable
from kg2at_personality.kernels.journal import CoreWaitResult, Died, KernelFacts, StartResult, Stopped
from kg2at_personality.kernels.outcomes import ALL, STARTED, Outcome
from kg2at_personality.web.kernel_metrics import BUCKETS, KernelMetrics
from tests.cost import Calls
from tests.fakes.gateways import kernel_of
from tests.fakes.identity import ALICE, NamedTokens, with_users
from tests.fakes.toree import QUICK

pytestmark = pytest.mark.gen_test(timeout=60)
OPENMETRICS = {"Accept": "application/openmetrics-text; version=1.0.0"}
#: Each metric with its labels, as the issue and docs/monitoring.md have them.
NAMES = {
    "kg2at_kernel_starts_total": {"kernel", "outcome", "reason"},
    "kg2at_kernel_start_duration_seconds_count": {"outcome", "warm"},
    "kg2at_core_wait_seconds_count": {"outcome"},
    "kg2at_kernel_stops_total": {"how"},
    "kg2at_cores": {"state"},
    "kg2at_cores_age_seconds": set(),
    "kg2at_queue_length": set(),
    "kg2at_kernels": {"state"},
    "kg2at_warm_kernels": {"state"},
    "kg2at_zombies": set(),
    "kg2at_master_polls_total": {"outcome"},
}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
def settings() -> dict[str, Any]:
    return QUICK


def samples(text: str) -> Samples:
    """Name and labels -> value of all that is kg2at's; none is there twice."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("kg2at_"):
                assert not sample.name.endswith("_created")
                key = sample.name, frozenset(sample.labels.items())
                assert key not in found
                found[key] = sample.value
    return found


async def scraped(gateway: Any, **headers: str) -> Samples:
    answer = await gateway.ask("GET", "/metrics", **headers)
    assert answer.code == 200, answer.body
    return samples(answer.body.decode())


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"kg2at_{name}", frozenset(labels.items())]


def values(found: Samples, name: str, label: str, *of: str) -> list[float]:
    return [value(found, name, **{label: each}) for each in of]


async def test_all_is_there_from_the_start(gateway: Any) -> None:
    found = await scraped(gateway)
    for name, labels in NAMES.items():
        assert {frozenset(key for key, _ in told) for each, told in found if each == name} == {frozenset(labels)}, name
    starts = {tuple(dict(told)[key] for key in ("outcome", "reason")) for each, told in found if "starts" in each}
    assert starts == set(ALL)
    names = {dict(told)["kernel"] for each, told in found if each == "kg2at_kernel_starts_total"}
    assert names == {"apache_toree_scala", "apache_toree_sql", "spark_python", "other"}
    assert all(number == 0 or math.isnan(number) for (name, _), number in found.items())
    buckets = {dict(told)["le"] for each, told in found if each == "kg2at_core_wait_seconds_bucket"}
    assert buckets == {str(float(each)) for each in BUCKETS} | {"+Inf"}


async def test_nothing_new_comes_but_values(gateway: Any) -> None:
    before = set(await scraped(gateway))
    kernel_id = await gateway.start()
    await gateway.run(kernel_id, "1")
    for number in range(20):
        body = {"name": f"free text {number}", "env": {"KERNEL_USERNAME": f"user{number}"}}
        assert (await gateway.ask("POST", "/api/kernels", body)).code == 404
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
    found = await scraped(gateway)
    new = {dict(labels)["kernel"] for _, labels in set(found) - before}
    assert new == {"python3"}, "an installed kernelspec, once it has started"
    other = {"kernel": "other", "outcome": "refused", "reason": "unknown_kernelspec"}
    assert value(found, "kernel_starts_total", **other) == 20
    assert value(found, "kernel_starts_total", kernel="python3", outcome="started", reason="") == 1
    assert value(found, "kernel_stops_total", how="user") == 1
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    assert kernel_id not in text and "user1" not in text and "free text" not in text


async def test_a_stop_that_is_asked_twice_counts_once(gateway: Any) -> None:
    kernel_id = await gateway.start()
    await kernel_of(gateway, kernel_id).answered()
    await asyncio.gather(*(gateway.ask("DELETE", f"/api/kernels/{kernel_id}") for _ in range(3)))
    found = await scraped(gateway)
    assert sum(number for (name, _), number in found.items() if name == "kg2at_kernel_stops_total") == 1


async def test_a_death_counts_once(gateway: Any) -> None:
    kernel_id = await gateway.start()
    kernel = kernel_of(gateway, kernel_id)
    await kernel.answered()
    kernel.stop_restarter()
    os.kill(kernel.pid, signal.SIGKILL)
    await kernel.mark_dead("It died.")
    assert value(await scraped(gateway), "kernels", state="dead") == 1
    await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")
    found = await scraped(gateway)
    assert values(found, "kernel_stops_total", "how", "died", "user", "gateway", "culled") == [
        1,
        0,
        0,
        0,
    ]


async def test_what_the_journal_says(gateway: Any) -> None:
    metrics: KernelMetrics = gateway.app.personality.kernel_metrics
    facts = KernelFacts("ID", "spark_python", "alice", "alice", 2)
    for entry in (
        StartResult(facts, STARTED, "", 0.7, is_warm=True),
        StartResult(facts, Outcome("refused", "cluster_busy"), "No.", 16.0, is_warm=False),
        CoreWaitResult(facts, STARTED, 3.0),
        CoreWaitResult(facts, Outcome("refused", "cluster_busy"), 15.1),
        Stopped(facts, None, "Nobody used it.", 1.0, had_lived=True),
        Stopped(facts, None, "", 1.0, had_lived=True),
        Stopped(facts, "alice", "", 1.0, had_lived=False),
        Died(facts, "At its start.", 1.0, is_restarted=False, at_start=True),
    ):
        metrics.hear(entry)
    found = await scraped(gateway)
    assert value(found, "kernel_start_duration_seconds_sum", outcome="started", warm="true") == 0.7
    assert value(found, "kernel_start_duration_seconds_count", outcome="refused", warm="false") == 1
    assert value(found, "core_wait_seconds_sum", outcome="admitted") == 3.0
    assert value(found, "core_wait_seconds_bucket", outcome="refused", le="15.0") == 0
    assert value(found, "core_wait_seconds_bucket", outcome="refused", le="30.0") == 1
    assert values(found, "kernel_stops_total", "how", "culled", "gateway", "user", "died") == [
        1,
        1,
        0,
        0,
    ]


async def test_cores_kernels_and_those_that_wait(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = gateway.app.kernel_manager
    states = {"a": "idle", "b": "busy", "c": "of its own making"}
    kernels = [SimpleNamespace(kernel_id=each, execution_state=state) for each, state in states.items()]
    cluster = {"cores_total": 16, "cores_free": 6, "cores_promised": 4, "cores_notebooks": 5, "age_s": 2.5}
    queue = [{"kernel_id": "a"}, {"kernel_id": "that starts"}]
    unasked = {"cluster": dict.fromkeys(cluster), "queue": []}
    status = [{"cluster": cluster, "queue": queue}, unasked]
    with monkeypatch.context() as patch:
        patch.setattr(manager, "kernels", lambda: kernels)
        patch.setattr(manager.clusters, "status", lambda: status)
        found = await scraped(gateway)
        # What is promised may be more than is free.
        cluster["cores_promised"] = 2**31 - 1
        promised = await scraped(gateway)
    cores = values(found, "cores", "state", "notebooks", "others", "promised", "free")
    assert cores == [5, 5, 4, 2] and sum(cores) == 16
    assert value(found, "cores_age_seconds") == 2.5 and value(found, "queue_length") == 2
    counts = values(found, "kernels", "state", "starting", "idle", "busy", "waiting", "dead", "other")
    assert counts == [0, 0, 1, 2, 0, 1]
    assert values(promised, "cores", "state", "notebooks", "others", "promised", "free") == [5, 5, 6, 0]


async def test_polls() -> None:
    answers: list[Any] = [MasterUnreachable("u", "p"), MalformedAnswer("u", "p"), RuntimeError("?"), SimpleNamespace()]

    async def state() -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    view = MasterView(state, SimpleNamespace(warning=lambda *_: None, exception=lambda *_: None))  # type: ignore[arg-type]
    for _ in range(4):
        await view.ask(0.0)
    assert view.polls == {"unreachable": 2, "malformed": 1, "answered": 1}


class TestTheAnswer:
    async def test_the_formats(self, gateway: Any) -> None:
        await gateway.start()
        plain = await gateway.ask("GET", "/metrics")
        assert plain.headers["Content-Type"].startswith("text/plain; version=")
        answer = await gateway.ask("GET", "/metrics", **OPENMETRICS)
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        names = {family.name for family in openmetrics.text_string_to_metric_families(answer.body.decode())}
        assert {"kg2at_kernel_starts", "kg2at_zombies"} < names

    async def test_jupyter_servers_are_there_too(self, gateway: Any) -> None:
        kernel_id = await gateway.start()
        assert (await gateway.ask("FOO" * 100, "/api/kernels")).code == 405
        text = (await gateway.ask("GET", "/metrics")).body.decode()
        assert 'kernel_currently_running_total{type="python3"}' in text
        told = [line for line in text.splitlines() if line.startswith("http_request_duration_seconds_count")]
        assert any("MainKernelHandler" in line and 'status_code="201"' in line for line in told)
        assert not any("FOO" in line for line in told), "a client chooses no label"
        assert kernel_id not in text

    async def test_gateways_in_one_process_have_their_own(self, gateway: Any) -> None:
        other = KernelMetrics(gateway.app.kernel_manager)
        other.hear(StartResult(KernelFacts("", "x", "", ""), STARTED, "", 1.0, is_warm=False))
        found = await scraped(gateway)
        assert value(found, "kernel_start_duration_seconds_count", outcome="started", warm="false") == 0


class TestWhoMayAsk:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users(NamedTokens)

    async def test_whoever_is_let_in(self, gateway: Any) -> None:
        assert (await gateway.ask("GET", "/metrics")).code == 401
        assert await scraped(gateway, **ALICE)


class TestWithoutAToken:
    @pytest.fixture
    def settings(self) -> Any:
        return with_users(NamedTokens, KG2ATPersonality={"authenticate_metrics": False})

    async def test_whoever_asks(self, gateway: Any) -> None:
        for headers in ({}, ALICE, {"Authorization": "token wrong"}, {"Host": "gateway.example"}):
            assert await scraped(gateway, **headers)
        answer = await gateway.ask("POST", "/metrics", {})
        assert (answer.code, json.loads(answer.body)["reason"]) == (405, "Method Not Allowed")
        assert (await gateway.ask("GET", "/kg2at/status")).code == 401


async def test_a_thousand_kernels_cost_little(gateway: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make bench` measures the time of it; here is counted what that grows with."""
    manager = gateway.app.kernel_manager
    kernels = [SimpleNamespace(kernel_id=str(number), execution_state="idle") for number in range(1000)]
    status = [
        {
            "cluster": {
                "cores_total": 4000,
                "cores_free": 2000,
                "cores_promised": 10,
                "cores_notebooks": 2000,
                "age_s": 1.0,
            },
            "queue": [{"kernel_id": str(number)} for number in range(100)],
        }
    ]
    with monkeypatch.context() as patch:
        patch.setattr(manager, "kernels", lambda: kernels)
        patch.setattr(manager.clusters, "status", lambda: status)
        with Calls() as calls:
            families = list(gateway.app.personality.kernel_metrics.collect())
    assert calls.count < 20_000 and len(families) == 11


async def test_a_start_under_way_is_seen(gateway: Any, plans: Any) -> None:
    plans.hold()
    start = asyncio.ensure_future(gateway.ask("POST", "/api/kernels", {"name": "apache_toree_scala"}))
    await plans.reached()
    assert value(await scraped(gateway), "kernels", state="starting") == 1
    plans.release()
    kernel_id = json.loads((await start).body)["id"]
    await kernel_of(gateway, kernel_id).startup.finished()
    # The cell by which the gateway sets it up makes it busy for a moment, as the kernel says a little later.
    while value(await scraped(gateway), "kernels", state="idle") != 1:
        pass
