"""Profiles that are not for all: on no route is there anything of them for others."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from jupyter_server.auth.identity import User

from kg2at_personality.web.identity.provider import TokenIdentityProvider
from kg2at_personality.web.identity.users import KnownUser
from tests.fakes.app import Client, serving
from tests.fakes.toree import QUICK, FakeSpark
from tests.fakes.wait import until

pytestmark = pytest.mark.gen_test(timeout=60)
#: For ann, bob and administrators; and a name that no kernelspec has, of the same length.
SPEC, UNKNOWN = "apache_toree_scala_secret", "apache_toree_scala_absent"
PROFILES = {
    "Secret": {"spark.cores.max": 8, "users": ["ann", "bob"]},
    "root": {"users": "admins"},
    "open": {"spark.cores.max": 2},
}


class ByToken(TokenIdentityProvider):
    """Everybody's token is their name; root is an administrator."""

    names_users = True

    def user_of(self, token: str) -> User | None:
        return KnownUser(token, is_admin=token == "root") if token else None


@pytest.fixture
def settings() -> dict[str, Any]:
    app = {"identity_provider_class": ByToken}
    return QUICK | {"KernelGatewayApp": app, "KG2ATPersonality": {"profiles": PROFILES, "max_kernels_per_user": 2}}


@pytest.fixture
def gateway(io_loop: Any, spark: FakeSpark, settings: dict[str, Any]) -> Iterator[Client]:
    """Run a gateway on a Spark that is a small program."""
    with serving(io_loop, settings) as client:
        yield client


Ask = Callable[..., Awaitable[Any]]


def as_user(gateway: Any, name: str) -> Ask:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        return await gateway.ask(method, path, body, Authorization=f"token {name}")

    return ask


async def names(ask: Ask) -> set[str]:
    answer = await ask("GET", "/api/kernelspecs")
    assert answer.code == 200, answer.body
    return set(json.loads(answer.body)["kernelspecs"])


async def test_the_list_has_it_for_its_users_and_administrators(gateway: Any, spark: FakeSpark) -> None:
    found = {name: await names(as_user(gateway, name)) for name in ("ann", "bob", "eve", "root", "admins")}
    assert all("apache_toree_scala_open" in each for each in found.values())
    assert {name for name, each in found.items() if SPEC in each} == {"ann", "bob", "root"}
    assert {name for name, each in found.items() if "apache_toree_scala_root" in each} == {"root"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/kernelspecs/{}", None),
        ("GET", "/kernelspecs/{}/logo-64x64.png", None),
        ("GET", "/kernelspecs/{}/kernel.json", None),
        ("POST", "/api/kernels", {"name": "{}"}),
        ("POST", "/api/sessions", {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "{}"}}),
    ],
)
async def test_for_others_it_is_not_there_in_any_spelling(
    gateway: Any, spark: FakeSpark, method: str, path: str, body: Any
) -> None:
    eve = as_user(gateway, "eve")
    await names(eve)

    async def answer(name: str) -> tuple[int, str]:
        told = await eve(method, path.format(name), json.loads(json.dumps(body).replace("{}", name)))
        return told.code, told.body.decode().replace(name, "NAME")

    for spelt in (SPEC, SPEC.upper(), "Apache_Toree_Scala_Secret"):
        assert await answer(spelt) == await answer(UNKNOWN)
        assert (await answer(spelt))[0] == 404
    assert gateway.app.kernel_manager.kernels() == [] and spark.launches() == []


async def test_a_session_can_not_get_it_by_patch_either(gateway: Any, spark: FakeSpark) -> None:
    eve = as_user(gateway, "eve")
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    session = json.loads((await eve("POST", "/api/sessions", body)).body)
    told = {}
    for name in (SPEC, UNKNOWN):
        answer = await eve("PATCH", f"/api/sessions/{session['id']}", {"kernel": {"name": name}})
        told[answer.code, answer.body.decode().replace(name, "NAME")] = name
    [(code, _)] = told
    assert code == 404
    after = json.loads((await eve("GET", f"/api/sessions/{session['id']}")).body)
    assert after["kernel"]["id"] == session["kernel"]["id"]


async def test_its_users_get_it_and_spark_hears_nothing_of_them(gateway: Any, spark: FakeSpark) -> None:
    for name in ("ann", "root"):
        ask = as_user(gateway, name)
        assert (await ask("GET", f"/api/kernelspecs/{SPEC}")).code == 200
        answer = await ask("POST", "/api/kernels", {"name": SPEC, "env": {"KERNEL_USERNAME": "eve"}})
        assert answer.code == 201, answer.body
        launch = await spark.launched(json.loads(answer.body)["id"])
        assert launch["properties"]["spark.cores.max"] == "8"
        assert launch["env"]["KERNEL_USERNAME"] == name
        assert not any("users" in key or "bob" in value for key, value in launch["properties"].items())


async def test_a_kernel_that_runs_goes_on_when_its_profile_is_closed_to_its_user(
    gateway: Any, spark: FakeSpark
) -> None:
    ann = as_user(gateway, "ann")
    kernel_id = json.loads((await ann("POST", "/api/kernels", {"name": SPEC})).body)["id"]
    kernel = gateway.app.kernel_manager.get_kernel(kernel_id)
    await until(lambda: kernel.has_answered, "its first answer")
    gateway.app.kernel_spec_manager.profile_users = {"Secret": frozenset({"bob"})}
    assert SPEC not in await names(ann)
    assert (await ann("POST", f"/api/kernels/{kernel_id}/restart")).code == 200
    assert (await spark.launched(kernel_id, 2))["properties"]["spark.cores.max"] == "8"
    assert (await ann("GET", f"/api/kernels/{kernel_id}")).code == 200


async def test_who_has_as_many_kernels_as_may_be_is_told_whatever_the_kernelspec(
    gateway: Any, spark: FakeSpark
) -> None:
    """So that the refusal does not tell a profile that is not for all from a name that nothing has."""
    eve = as_user(gateway, "eve")
    for _ in range(2):
        assert (await eve("POST", "/api/kernels", {"name": "python3"})).code == 201
    for name in ("python3", SPEC, UNKNOWN):
        answer = await eve("POST", "/api/kernels", {"name": name})
        assert answer.code == 403, answer.body
        assert "eve has 2 kernels, and may have 2 (max_kernels_per_user)" in json.loads(answer.body)["message"]
    assert (await as_user(gateway, "bob")("POST", "/api/kernels", {"name": "python3"})).code == 201
