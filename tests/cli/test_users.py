"""`jupyter kg2at users`: who is let in."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from kg2at_personality.users_file import changing, digest_of, read
from tests.cli.program import Place, Ran
from tests.fakes.gateway_process import PYTHON, Gateway
from tests.fakes.wait import wait_until


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A place whose variable names a file that is not there yet."""
    made = Place(tmp_path)
    made.environ["KG2AT_USERS_FILE"] = str(tmp_path / "users.json")
    return made


def users(place: Place, *argv: str, **environ: str) -> Ran:
    return place.run("users", *argv, **environ)


def path(place: Place) -> str:
    return place.environ["KG2AT_USERS_FILE"]


def test_one_who_is_added_has_a_token_that_is_shown_once(place: Place) -> None:
    ran = users(place, "add", "alice", "--admin")
    token = ran.out.strip()
    assert (ran.status, ran.out) == (0, f"{token}\n") and len(token) == 64
    assert "not shown again" in ran.err and "export JUPYTER_GATEWAY_AUTH_TOKEN=" in ran.err and token not in ran.err
    assert f"KG2AT_USERS_FILE={path(place)}" in ran.err and "--gateway-url=" in ran.err
    [(name, alice)] = read(path(place)).items()
    assert (name, alice.token, alice.admin) == ("alice", digest_of(token), True)
    assert stat.S_IMODE(Path(path(place)).stat().st_mode) == 0o600
    assert token not in users(place, "list").out + users(place, "list", "--json").out + Path(path(place)).read_text()


def test_bounds_and_json(place: Place) -> None:
    ran = users(place, "add", "Bob B.", "--max-cores", "8", "--max-kernels=0", "--json")
    said = json.loads(ran.out)
    assert (ran.status, ran.err) == (0, "")
    assert said.pop("since").startswith("20") and len(said.pop("token")) == 64
    assert said == {"name": "Bob B.", "admin": False, "max_cores": 8, "max_kernels": 0}
    [listed] = json.loads(users(place, "list", "--json").out)
    assert listed.pop("since") and listed == said


def test_the_list_says_who_is_let_in(place: Place) -> None:
    assert users(place, "add", "bob", "--max-cores=8").status == users(place, "add", "alice", "--admin").status == 0
    for argv in ((), ("list",)):
        heading, alice, bob = users(place, *argv).out.splitlines()
        assert heading.split("  ")[0] == "USER" and "TOKEN SINCE" in heading
        assert alice.split()[:2] == ["alice", "yes"] and bob.split()[:2] == ["bob", "8"]


def test_a_name_that_is_there_keeps_its_token(place: Place) -> None:
    token = users(place, "add", "alice").out.strip()
    ran = users(place, "add", "alice", "--admin")
    assert (ran.status, ran.out) == (1, "") and "`jupyter kg2at users rotate` gives them a new token" in ran.err
    assert read(path(place))["alice"].token == digest_of(token)


def test_a_new_token_ends_the_old_one_and_nothing_else(place: Place) -> None:
    old = users(place, "add", "alice", "--max-cores=4").out.strip()
    with changing(path(place)) as listed:
        before = listed["alice"]
    ran = users(place, "rotate", "alice")
    after = read(path(place))["alice"]
    assert ran.status == 0 and ran.out.strip() != old and after.token == digest_of(ran.out.strip())
    assert after.max_cores == before.max_cores == 4
    ran = users(place, "rotate", "carol")
    assert (ran.status, ran.out) == (1, "") and "There is no user 'carol'" in ran.err


def test_who_is_removed_is_gone_and_who_never_was_is_an_error(place: Place) -> None:
    for name in ("alice", "bob", "carol"):
        users(place, "add", name)
    ran = users(place, "remove", "alice", "x\x1b[2J", "bob")
    assert (ran.status, ran.out) == (1, "alice is let in no more.\nbob is let in no more.\n")
    assert r"There is no user 'x\x1b[2J'" in ran.err and read(path(place)).keys() == {"carol"}
    ran = users(place, "remove", "carol", "--json")
    assert (ran.status, json.loads(ran.out)) == (0, [{"name": "carol", "removed": True}])
    ran = users(place, "list")
    assert ran.status == 0 and len(ran.out.splitlines()) == 1


def test_which_file(place: Place, tmp_path: Path) -> None:
    """Option before configuration file before variable, as for the gateway."""
    config = tmp_path / "config.py"
    config.write_text(f"c.KG2ATPersonality.users_file = {str(tmp_path / 'by-config')!r}\n")
    for name, argv in (
        ("users.json", ()),
        ("by-config", (f"--config={config}",)),
        ("by-option", (f"--config={config}", "--users-file", f"{tmp_path}/by-option")),
    ):
        assert users(place, "add", name, *argv).status == 0
        assert read(str(tmp_path / name)).keys() == {name}
    ran = users(place, "add", "alice", KG2AT_USERS_FILE="")
    assert (ran.status, ran.out) == (2, "")
    assert all(each in ran.err for each in ("--users-file", "KG2AT_USERS_FILE", "KG2ATPersonality.users_file"))


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("add",), "name the user"),
        (("add", ""), "'' is no name of a user"),
        (("add", "alice "), "'alice ' is no name of a user"),
        (("add", "a\nb"), r"'a\nb' is no name of a user"),
        (("add", "alice", "bob"), "'bob' is one argument too many"),
        (("add", "alice", "--max-cores=-1"), "AddApp.max_cores should not be less than 0"),
        (("add", "alice", "--max-kernels=many"), "AddApp.max_kernels expected an int"),
        (("add", "alice", f"--max-kernels={2**31}"), "AddApp.max_kernels should not be greater than"),
        (("rotate",), "name the user"),
        (("remove",), "name the users to remove"),
        (("list", "alice"), "'alice' is one argument too many"),
        (("ad", "alice"), "'ad' is one argument too many"),
    ],
    ids=str,
)
def test_usage(place: Place, argv: tuple[str, ...], said: str) -> None:
    ran = users(place, *argv)
    assert (ran.status, ran.out) == (2, "") and said in ran.err and len(ran.err.splitlines()) == 1
    assert not Path(path(place)).exists()


def test_what_keeps_a_file_from_being_used(place: Place) -> None:
    ran = users(place, "list")
    assert (ran.status, ran.out) == (1, "") and "There is no users file" in ran.err and "users add NAME" in ran.err
    users(place, "add", "alice")
    file = Path(path(place))
    file.chmod(0o644)
    for argv in (("list",), ("add", "bob"), ("rotate", "alice"), ("remove", "alice")):
        ran = users(place, *argv)
        assert (ran.status, ran.out) == (1, "") and f"chmod 600 {file}" in ran.err and len(ran.err.splitlines()) == 1
    file.chmod(0o600)
    file.write_text("[]")
    assert "is broken" in users(place, "add", "bob").err and file.read_text() == "[]"


def test_a_real_gateway(place: Place, tmp_path: Path) -> None:
    """From the first user to the last one's end: by the commands, in processes of their own."""
    tokens = {name: users(place, "add", name, *more).out.strip() for name, *more in (("root", "--admin"), ("ada",))}
    environ = {"KG2AT_USERS_FILE": path(place)}
    with Gateway(tmp_path / "gateway", *PYTHON, environ=environ, token="", quick=True) as gateway:
        kernel_id = str(gateway.request("POST", "/api/kernels", {}, tokens["ada"]).body["id"])
        gateway.token = tokens["ada"]
        channels = gateway.connect(kernel_id)
        assert channels.run("print(6 * 7)").text == "42\n"

        where = {"JUPYTER_RUNTIME_DIR": str(gateway.runtime), "KG_AUTH_TOKEN": ""}
        assert "wants a token" in place.run("status", **where).err, "the runtime file has none"
        for name in tokens:
            assert kernel_id[:8] in place.run("status", **where | {"KG_AUTH_TOKEN": tokens[name]}).out

        tokens["new"] = users(place, "rotate", "ada").out.strip()
        assert wait_until(lambda: channels.close_code, "the end of its websocket") == 1008
        asked = {name: gateway.request("GET", "/api/kernels", token=token) for name, token in tokens.items()}
        assert {name: answer.status for name, answer in asked.items()} == {"root": 200, "ada": 401, "new": 200}
        assert [row["id"] for row in asked["new"].body] == [row["id"] for row in asked["root"].body] == [kernel_id]

        assert users(place, "remove", "ada").status == 0
        assert gateway.request("GET", "/api/kernels", token=tokens["new"]).status == 401
        assert gateway.request("GET", f"/api/kernels/{kernel_id}", token=tokens["root"]).status == 200
        assert not any(token in gateway.log for token in tokens.values())
