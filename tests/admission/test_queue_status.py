"""What status and log say of the queue."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kg2at_personality.admission.poller import LAZY, WATCHED
from tests.admission.scene import GIB, REFUSED, Scene, play, refusal, virtual


@virtual
async def test_status_answers_from_memory() -> None:
    scene = Scene()
    assert scene.queue.status()["cluster"]["status"] == "not asked yet"
    await scene.admit("a", 6)
    task = scene.ask("b", 4)
    await asyncio.sleep(1.5)
    scene.failure = REFUSED
    before = len(scene.polls)
    assert scene.queue.status() == {
        "cluster": {
            "master": "spark://127.0.0.1:7077",
            "status": "ALIVE",
            "cores_total": 8,
            "cores_free": 8,
            "cores_promised": 6,
            "memory_total_mib": 16 * GIB,
            "memory_free_mib": 16 * GIB,
            "workers": 1,
            "worker_list": [
                {
                    "host": "127.0.0.1",
                    "state": "ALIVE",
                    "cores": 8,
                    "cores_used": 0,
                    "memory_mib": 16 * GIB,
                    "memory_used_mib": 0,
                }
            ],
            "age_s": 0.5,
            "cores_notebooks": 0,
            "memory_promised_mib": GIB,
            "memory_notebooks_mib": 0,
        },
        "queue": [
            {
                "kernel_id": "b",
                "name": "apache_toree_scala",
                "user": "ann",
                "cores": 4,
                "waited_s": 1.5,
                "position": 1,
                "app_id": None,
            }
        ],
        "leases": {"a": {"cores": 6, "granted": 0, "given_back": 0, "state": "promised", "app_id": None}},
    }
    assert len(scene.polls) == before
    task.cancel()


@virtual
async def test_the_master_is_asked_while_somebody_looks() -> None:
    scene = Scene()
    await asyncio.sleep(60)
    assert scene.polls == []
    scene.queue.look()
    await asyncio.sleep(0.1)
    assert len(scene.polls) == 1 and scene.queue.status()["cluster"]["age_s"] is not None
    for _ in range(30):
        scene.queue.look()
        await asyncio.sleep(2)
    asked = len(scene.polls)
    assert 60 / LAZY / 2 < asked < 2 * 60 / LAZY, "no more often than while leases are unsettled"
    await asyncio.sleep(WATCHED + LAZY)
    asked = len(scene.polls)
    await asyncio.sleep(600)
    assert len(scene.polls) == asked, "nobody looks any more"
    await scene.queue.close()
    scene.queue.look()
    await asyncio.sleep(60)
    assert len(scene.polls) == asked


def test_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    async def scene() -> None:
        stage = Scene()
        await stage.admit("a", 8)
        await refusal(stage.ask("b", 2, patience=4.0))

    caplog.set_level(logging.INFO)
    play(scene)
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("kg2at")]
    whose = "kernel {} ('apache_toree_scala' of 'ann'). The notebook needs {} cores in one or more executors of 1 GiB"
    assert lines[:2] == ["Admitted after 0.000 s: " + whose.format("a", 8), "Waits behind 0: " + whose.format("b", 2)]
    assert lines[2].startswith("Refused kernel b of 'ann': Cluster is busy: The notebook needs 2 cores")
