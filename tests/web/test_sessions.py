from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from kg2at_personality.kernels.sessions import Begun

pytestmark = [pytest.mark.gen_test(timeout=60), pytest.mark.usefixtures("ipykernel")]
BODY = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}


async def test_a_session_starts_and_takes_its_kernel_along(gateway: Any) -> None:
    answer = await gateway.ask("POST", "/api/sessions", BODY)
    assert answer.code == 201
    session = json.loads(answer.body)
    assert session["kernel"]["name"] == "python3"
    assert [s["id"] for s in json.loads((await gateway.ask("GET", "/api/sessions")).body)] == [session["id"]]
    assert (await gateway.ask("DELETE", f"/api/sessions/{session['id']}")).code == 204
    assert gateway.app.kernel_manager.list_kernels() == []


async def test_the_same_notebook_twice_at_once_shares_a_kernel(gateway: Any) -> None:
    answers = await asyncio.gather(*(gateway.ask("POST", "/api/sessions", BODY) for _ in range(3)))
    assert {answer.code for answer in answers} == {201}
    assert len({json.loads(answer.body)["kernel"]["id"] for answer in answers}) == 1


async def test_a_deleted_kernel_takes_its_session_along(gateway: Any) -> None:
    session = json.loads((await gateway.ask("POST", "/api/sessions", BODY)).body)
    await gateway.ask("DELETE", f"/api/kernels/{session['kernel']['id']}")
    answer = await gateway.ask("GET", "/api/sessions")
    assert (answer.code, answer.body) == (200, b"[]")


async def test_the_old_form_of_the_body_works(gateway: Any) -> None:
    body = {"notebook": {"path": "old.ipynb"}, "kernel": {"name": "python3"}}
    answer = await gateway.ask("POST", "/api/sessions", body)
    assert answer.code == 201 and json.loads(answer.body)["notebook"]["path"] == "old.ipynb"


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (None, 400, "No JSON data"),
        ([], 400, "JSON object"),
        ({"type": "notebook"}, 400, "Missing field in JSON data: path"),
        ({"path": "a"}, 400, "Missing field in JSON data: type"),
        ({"path": 5, "type": "notebook"}, 400, "'path' must be a string"),
        ({"path": "a", "type": "notebook", "kernel": "python3"}, 400, "'kernel' must be an object"),
        ({"path": "a", "type": "notebook", "kernel": {"name": 3}}, 400, "'name' must be a string"),
        ({"path": "a", "type": "notebook", "kernel": {"name": "nope"}}, 404, "There are:"),
    ],
)
async def test_a_bad_body_gets_a_sentence(gateway: Any, body: Any, status: int, says: str) -> None:
    answer = await gateway.ask("POST", "/api/sessions", body)
    assert answer.code == status and says in json.loads(answer.body)["message"], answer.body
    assert gateway.app.kernel_manager.list_kernels() == []


async def test_one_session_is_shown_renamed_and_given_another_kernel(gateway: Any) -> None:
    session = json.loads((await gateway.ask("POST", "/api/sessions", BODY)).body)
    path = f"/api/sessions/{session['id']}"
    assert json.loads((await gateway.ask("GET", path)).body)["kernel"]["id"] == session["kernel"]["id"]
    renamed = await gateway.ask("PATCH", path, {"path": "renamed.ipynb"})
    assert renamed.code == 200 and json.loads(renamed.body)["notebook"]["path"] == "renamed.ipynb"
    other = json.loads((await gateway.ask("PATCH", path, {"kernel": {"name": "python3"}})).body)["kernel"]["id"]
    assert other != session["kernel"]["id"]
    assert [kernel["id"] for kernel in json.loads((await gateway.ask("GET", "/api/kernels")).body)] == [other]
    for body in ({"kernel": {"id": "1-2-3-4-5"}}, {"kernel": 5}, {"path": 5}, None):
        assert (await gateway.ask("PATCH", path, body)).code == 400
    assert (await gateway.ask("DELETE", path)).code == 204
    assert (await gateway.ask("GET", path)).code == 404 and (await gateway.ask("PATCH", path, BODY)).code == 404


async def attach(gateway: Any, kernel_id: str, path: str = "b.ipynb") -> Any:
    body = {"path": path, "type": "notebook", "kernel": {"id": kernel_id, "name": "python3"}}
    return await gateway.ask("POST", "/api/sessions", body)


async def test_a_session_takes_a_kernel_that_runs(gateway: Any) -> None:
    kernel_id = await gateway.start()
    answers = [await attach(gateway, kernel_id, path) for path in ("a.ipynb", "a.ipynb", "b.ipynb")]
    assert {answer.code for answer in answers} == {201}
    models = [json.loads(answer.body) for answer in answers]
    assert {model["kernel"]["id"] for model in models} == {kernel_id} and models[0]["id"] == models[1]["id"]
    assert [kernel["id"] for kernel in gateway.app.kernel_manager.list_kernels()] == [kernel_id]
    assert len(json.loads((await gateway.ask("GET", "/api/sessions")).body)) == 2
    assert (await gateway.ask("DELETE", f"/api/sessions/{models[0]['id']}")).code == 204
    assert gateway.app.kernel_manager.list_kernels() == []


async def test_a_kernel_that_is_unknown_or_gone_is_404_and_starts_none(gateway: Any) -> None:
    gone = await gateway.start()
    await gateway.ask("DELETE", f"/api/kernels/{gone}")
    for kernel_id in (gone, "1-2-3-4-5", "nonsense", "\u00e9"):
        answer = await attach(gateway, kernel_id)
        assert answer.code == 404 and json.loads(answer.body)["reason"] == "No such kernel", answer.body
    assert gateway.app.kernel_manager.list_kernels() == [] and gateway.app.session_manager.list_sessions() == []


async def test_a_kernel_that_ends_while_its_session_waits_is_404(gateway: Any) -> None:
    kernel_id, sessions = await gateway.start(), gateway.app.session_manager
    async with sessions._locks.setdefault(("", "b.ipynb"), asyncio.Lock()):
        answer = asyncio.ensure_future(attach(gateway, kernel_id))
        await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")
    assert (await answer).code == 404


async def test_a_client_that_is_gone_leaves_the_kernel_it_attached_to(gateway: Any) -> None:
    kernel_id, sessions = await gateway.start(), gateway.app.session_manager
    model, begun = await sessions.get_or_create("b.ipynb", None, kernel_id)
    assert begun is Begun.ATTACHED
    sessions.detach(model["id"])
    sessions.detach(model["id"])
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    assert sessions.list_sessions() == [] and kernel.sessions == [] and not kernel.is_dead
