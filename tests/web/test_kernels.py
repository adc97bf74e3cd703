from __future__ import annotations

import asyncio
import json
from typing import Any

import nbformat
import pytest

from tests.fakes.clock import ticks

pytestmark = pytest.mark.gen_test(timeout=60)


def reason_of(answer: Any) -> tuple[int, dict[str, str]]:
    """Status and body of an error answer, which has a reason, a message and nothing else."""
    body = json.loads(answer.body)
    assert set(body) == {"reason", "message"} and body["message"], body
    assert "Traceback" not in answer.body.decode()
    return answer.code, body


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (b"[]", 400, "must be a JSON object, not an array"),
        (b'"python3"', 400, "must be a JSON object, not a string"),
        (b"null", 400, "must be a JSON object, not null"),
        (b"{", 400, "no JSON"),
        (b"\xff\xfe{", 400, "no JSON"),
        (b"[" * 100_000, 400, "no JSON"),
        (b'{"name": 5}', 400, "'name' must be a string, not a number"),
        (b'{"name": ["python3"]}', 400, "'name' must be a string, not an array"),
        (b'{"name": "no-such-kernel"}', 404, "There are: apache_toree_scala, apache_toree_sql, python3"),
        (b'{"name": "../python3"}', 404, "no kernelspec"),
        (b'{"name": "python3", "path": 5}', 400, "'path' must be a string"),
        (b'{"name": "python3", "path": "a\\u0000b"}', 400, "NUL"),
        (b'{"name": "python3", "kernel_id": "../../etc/passwd"}', 400, "UUID"),
        (b'{"name": "python3", "kernel_id": 7}', 400, "'kernel_id' must be a string"),
        (b'{"name": "python3", "env": []}', 400, "'env' must be an object, not an array"),
        (b'{"name": "python3", "env": {"KERNEL_A": 1}}', 400, "'KERNEL_A' in 'env' must be a string, not a number"),
        (b'{"name": "python3", "env": {"KERNEL_A": "a\\u0000b"}}', 400, "can't be an environment variable"),
        (b'{"name": "python3", "env": {"KERNEL_A=B": "a"}}', 400, "can't be an environment variable"),
        (b'{"name": "python3", "env": {"KERNEL_A": "\\ud800"}}', 400, "lone surrogate"),
        (b'{"env": {"KERNEL_SPARK_CORES_MAX": "lots"}}', 400, "whole number of cores"),
        (b'{"name": "' + b"x" * 2_000_000 + b'"}', 413, "max_body_size"),
    ],
)
async def test_a_bad_request_gets_a_sentence_and_costs_nothing(
    gateway: Any, raw: bytes, status: int, says: str
) -> None:
    code, body = reason_of(await gateway.ask("POST", "/api/kernels", raw=raw))
    assert code == status and says in body["message"], body
    assert gateway.app.kernel_manager.list_kernels() == []
    assert gateway.app.kernel_manager._pending_kernels == {}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/kernels/1-2-3-4-5"),
        ("DELETE", "/api/kernels/1-2-3-4-5"),
        ("POST", "/api/kernels/1-2-3-4-5/interrupt"),
        ("POST", "/api/kernels/1-2-3-4-5/restart"),
        ("GET", "/api/kernels/1-2-3-4-5/channels"),
        ("GET", "/api/sessions/1-2-3-4-5"),
        ("GET", "/api/kernelspecs/nope"),
        ("GET", "/kernelspecs/nope/logo-64x64.png"),
        ("GET", "/nothing/here"),
    ],
)
async def test_what_is_not_there_is_404(gateway: Any, method: str, path: str) -> None:
    code, _ = reason_of(await gateway.ask(method, path))
    assert code == 404


async def test_each_kernel_sees_its_own_env(gateway: Any) -> None:
    names = [*(f"mark-{number}" for number in range(6)), None]
    bodies = [{"env": {"KERNEL_MARK": name, "SECRET_MARK": name}} if name else {} for name in names]
    ids = await asyncio.gather(*(gateway.start(**body) for body in bodies))
    show = "import os; print(os.environ.get('KERNEL_MARK'), os.environ.get('SECRET_MARK'))"
    assert [await gateway.run(kernel_id, show) for kernel_id in ids] == [f"{name} None\n" for name in names]


async def test_concurrent_posts_keep_their_env_apart_before_anything_is_launched(
    gateway: Any, monkeypatch: Any
) -> None:
    """20 at once, and the last one without: what each launch is given."""
    manager = gateway.app.kernel_manager
    seen: dict[str | None, str | None] = {}

    async def record(self: Any, cmd: Any, **kwargs: Any) -> Any:
        seen[kwargs["env"].get("KERNEL_ASKED")] = kwargs["env"].get("KERNEL_MARK")
        raise OSError("not launched")

    from jupyter_client.provisioning import LocalProvisioner

    monkeypatch.setattr(LocalProvisioner, "launch_kernel", record)
    bodies: list[Any] = [{"env": {"KERNEL_ASKED": str(n), "KERNEL_MARK": f"m{n}"}} for n in range(20)]
    bodies.append({})
    answers = await asyncio.gather(
        *(gateway.ask("POST", "/api/kernels", {"name": "python3"} | body) for body in bodies)
    )
    assert {answer.code for answer in answers} == {503}
    assert seen == {str(n): f"m{n}" for n in range(20)} | {None: None}
    assert manager._pending_kernels == {} and manager.starts._starts == {} and not manager.starts


class TestLimit:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"KernelGatewayApp": {"max_kernels": 2}}

    @pytest.mark.gen_test(timeout=60)
    async def test_max_kernels_holds_under_concurrent_posts(self, gateway: Any) -> None:
        answers = await asyncio.gather(*(gateway.ask("POST", "/api/kernels", {"name": "python3"}) for _ in range(8)))
        assert sorted(answer.code for answer in answers) == [201, 201] + [403] * 6
        refused = next(answer for answer in answers if answer.code == 403)
        assert reason_of(refused)[1] == {
            "reason": "Resource Limit",
            "message": "This gateway runs at most 2 kernels (max_kernels). Shut one down first.",
        }
        assert len(gateway.app.kernel_manager.list_kernels()) == 2

    @pytest.mark.gen_test(timeout=60)
    async def test_a_session_counts_too(self, gateway: Any) -> None:
        await gateway.start()
        await gateway.start()
        session = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
        code, body = reason_of(await gateway.ask("POST", "/api/sessions", session))
        assert code == 403 and "max_kernels" in body["message"]


async def test_a_start_that_nobody_waits_for_leaves_no_kernel(gateway: Any) -> None:
    manager = gateway.app.kernel_manager
    start = asyncio.ensure_future(manager.start_kernel(kernel_name="python3"))
    await ticks(1)
    assert manager.starts
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    while manager._tasks:
        await asyncio.gather(*manager._tasks)
    assert manager.list_kernels() == [] and not manager.starts and manager.starts._starts == {}


async def test_python_is_the_native_kernel(gateway: Any) -> None:
    """Jupyter's own alias, which clients of the stock gateway use."""
    kernel_id = await gateway.start(name="python")
    assert gateway.app.kernel_manager.kernel_model(kernel_id)["name"] == "python3"


async def test_the_limit_can_be_changed_while_it_runs(gateway: Any) -> None:
    gateway.app.web_app.settings["kg_max_kernels"] = 1
    await gateway.start()
    assert (await gateway.ask("POST", "/api/kernels", {"name": "python3"})).code == 403


class TestSeed:
    @pytest.fixture
    def settings(self, tmp_path: Any) -> dict[str, Any]:
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}},
            cells=[nbformat.v4.new_code_cell("seeded = 6 * 7")],
        )
        nbformat.write(notebook, tmp_path / "seed.ipynb")
        return {"KernelGatewayApp": {"seed_uri": str(tmp_path / "seed.ipynb")}}

    @pytest.mark.gen_test(timeout=60)
    async def test_a_seed_notebooks_kernel_is_the_default(self, gateway: Any) -> None:
        answer = await gateway.ask("POST", "/api/kernels", {})
        assert answer.code == 201
        assert await gateway.run(json.loads(answer.body)["id"], "print(seeded)") == "42\n"


async def test_delete_and_delete_again(gateway: Any) -> None:
    kernel_id = await gateway.start()
    assert (await gateway.ask("DELETE", f"/api/kernels/{kernel_id}")).code == 204
    assert (await gateway.ask("GET", "/api/kernels")).body == b"[]"


async def test_the_listing_is_on_by_default(gateway: Any) -> None:
    kernel_id = await gateway.start()
    [model] = json.loads((await gateway.ask("GET", "/api/kernels")).body)
    assert model["id"] == kernel_id and model["name"] == "python3"


async def test_a_kernel_restarts(gateway: Any) -> None:
    kernel_id = await gateway.start()
    await gateway.run(kernel_id, "x = 1")
    answer = await gateway.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
    assert answer.code == 200 and json.loads(answer.body)["id"] == kernel_id
    assert await gateway.run(kernel_id, "print('x' in dir())") == "False\n"


async def test_an_error_of_our_own_is_told_without_its_traceback(gateway: Any, monkeypatch: Any) -> None:
    async def fail(**kwargs: Any) -> None:
        raise ZeroDivisionError("the inside of the gateway")

    monkeypatch.setattr(gateway.app.kernel_manager, "start_kernel", fail)
    code, body = reason_of(await gateway.ask("POST", "/api/kernels", {}))
    assert code == 500 and "inside" not in body["message"]


class TestCORS:
    @pytest.fixture
    def settings(self) -> dict[str, Any]:
        return {"KernelGatewayApp": {"allow_origin": "https://lab.example", "auth_token": "right"}}

    @pytest.mark.gen_test(timeout=60)
    async def test_a_browser_may_read_errors_too(self, gateway: Any) -> None:
        answer = await gateway.ask("GET", "/api/kernels/1-2-3-4-5?token=right")
        assert answer.code == 404 and answer.headers["Access-Control-Allow-Origin"] == "https://lab.example"
