"""Users with a token each: who is let in by the file as it is now, and what is said of one that can't be read."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from kg2at_personality import users_file
from kg2at_personality.errors import ConfigError
from kg2at_personality.users_file import FileUser, changing, digest_of
from kg2at_personality.web.identity.token_file import UNKNOWN, TokenFile
from kg2at_personality.web.identity.users import KnownUser

LOG = logging.getLogger("tests.token_file")
ADMIN_TOKEN = "the-token-of-the-gateway-itself"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "users.json"
    with changing(str(made)) as users:
        users |= {
            "alice": FileUser(digest_of("of-alice"), admin=True),
            "bob": FileUser(digest_of("of-bob"), "", False, 4, 0),
        }
    return made


def set_token(path: Path, name: str, token: str | None) -> None:
    with changing(str(path)) as users:
        users.pop(name, None)
        if token is not None:
            users[name] = FileUser(digest_of(token))


class Calls:
    """Counts how often a function of the file's module is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.count, self._real = 0, getattr(users_file, name)
        monkeypatch.setattr(users_file, name, self._call)

    def _call(self, *arguments: Any) -> Any:
        self.count += 1
        return self._real(*arguments)


class TestTokenFile:
    def test_whose_token_it_is(self, path: Path) -> None:
        file = TokenFile(str(path), LOG)
        assert file.user_of("of-alice") == KnownUser("alice", is_admin=True)
        assert file.user_of("of-bob") == KnownUser("bob", max_cores=4, max_kernels=0)
        assert [file.user_of(token) for token in ("", "of-carol", digest_of("of-bob"), "OF-BOB", "\u20ac")] == [
            None
        ] * 5

    def test_it_is_read_when_it_has_changed_and_not_else(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        file, reads = TokenFile(str(path), LOG, settling=0), Calls(monkeypatch, "content_of")
        for _ in range(3):
            assert file.user_of("of-bob")
        assert reads.count == 0
        set_token(path, "bob", "of-him-now")
        reads.count = 0
        for _ in range(3):
            assert file.user_of("of-bob") is None and file.user_of("of-him-now") == KnownUser("bob")
        assert reads.count == 1

    def test_what_changed_just_now_may_look_the_same_next_time(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """On a file system that counts seconds: the same size, and the inode of the one before the last."""
        file, reads = TokenFile(str(path), LOG, settling=1000), Calls(monkeypatch, "content_of")
        parses = Calls(monkeypatch, "users_in")
        assert file.user_of("of-bob") and file.user_of("of-bob") and (reads.count, parses.count) == (2, 0)

    def test_a_change_in_place_counts(self, path: Path) -> None:
        file, before = TokenFile(str(path), LOG, settling=0), path.stat()
        path.write_text(path.read_text().replace(digest_of("of-bob"), digest_of("of-eve")))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert file.user_of("of-bob") is None and file.user_of("of-eve") is not None

    @pytest.mark.parametrize("what", ["broken", "readable", "gone", "directory", "unreadable"])
    def test_nobody_is_let_in_while_it_can_t_be_used(
        self, path: Path, what: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, good = TokenFile(str(path), LOG, settling=0), path.read_text()
        if what == "broken":
            path.write_text(good[:-1])
        elif what == "readable":
            path.chmod(0o644)
        elif what == "unreadable":
            path.touch()
            monkeypatch.setattr(users_file.os, "open", denied)
        else:
            path.unlink()
            if what == "directory":
                path.mkdir()
        for token in ("of-bob", "of-nobody", "of-bob"):
            with pytest.raises(ConfigError) as caught:
                file.user_of(token)
            assert str(caught.value) == UNKNOWN and caught.value.status == 503
        assert len(caplog.messages) == 1 and str(path) in caplog.text and "No user is let in" in caplog.text
        monkeypatch.undo()
        if what == "directory":
            path.rmdir()
        path.write_text(good)
        path.chmod(0o600)
        assert file.user_of("of-bob") == KnownUser("bob", max_cores=4, max_kernels=0)

    def test_it_is_tried_again_until_it_can_be_used(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A gateway may have run out of file descriptors, which changes nothing about the file."""
        file = TokenFile(str(path), LOG, settling=0)
        path.touch()
        monkeypatch.setattr(users_file.os, "open", denied)
        with pytest.raises(ConfigError):
            file.user_of("of-bob")
        monkeypatch.undo()
        assert file.user_of("of-bob") is not None

    @pytest.mark.parametrize("name", ["content_of", "users_in"])
    def test_an_error_that_nobody_expects_lets_nobody_in_either(
        self, path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        file = TokenFile(str(path), LOG, settling=0)
        set_token(path, "alice", None)
        monkeypatch.setattr(users_file, name, lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            file.user_of("of-bob")
        monkeypatch.undo()
        assert file.user_of("of-bob") and file.user_of("of-alice") is None

    def test_a_change_is_told_once(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("INFO")
        file = TokenFile(str(path), LOG)
        set_token(path, "bob", None)
        for _ in range(3):
            assert file.user_of("of-alice")
        assert caplog.messages == ["The users file was read: it lets in 1 user."]

    def test_one_that_can_t_be_used_at_the_start(self, path: Path) -> None:
        path.chmod(0o644)
        with pytest.raises(ConfigError, match="chmod 600"):
            TokenFile(str(path), LOG)


def damage(path: Path) -> None:
    path.write_text("[")


def denied(*_: Any) -> int:
    raise OSError(errno.EACCES, "Permission denied")


class TestGateway:
    """The real one."""

    @pytest.fixture
    def settings(self, path: Path) -> dict[str, Any]:
        return {
            "KG2ATPersonality": {"users_file": str(path)},
            "KernelGatewayApp": {"auth_token": ADMIN_TOKEN},
        }

    @staticmethod
    async def code(gateway: Any, token: str, path: str = "/api/kernels", **headers: str) -> int:
        return int((await gateway.ask("GET", path, Authorization=f"token {token}", **headers)).code)

    @pytest.mark.gen_test
    async def test_each_has_kernels_of_their_own(self, gateway: Any) -> None:
        answer = await gateway.ask("POST", "/api/kernels", {"name": "python3"}, Authorization="token of-bob")
        assert answer.code == 201
        for token, seen in (("of-bob", 1), ("of-alice", 1), (ADMIN_TOKEN, 1)):
            listed = await gateway.ask("GET", "/api/kernels", Authorization=f"Bearer {token}")
            assert len(json.loads(listed.body)) == seen
        assert gateway.app.kernel_manager.owner_of(json.loads(answer.body)["id"]) == "bob"

    @pytest.mark.gen_test
    async def test_who_is_removed_or_has_another_token_loses_the_next_request(self, gateway: Any, path: Path) -> None:
        assert await self.code(gateway, "of-bob") == 200
        set_token(path, "bob", "of-him-now")
        assert (await self.code(gateway, "of-bob"), await self.code(gateway, "of-him-now")) == (401, 200)
        set_token(path, "bob", None)
        assert (await self.code(gateway, "of-him-now"), await self.code(gateway, "of-alice")) == (401, 200)

    @pytest.mark.gen_test
    async def test_a_broken_file_is_503_without_a_word_of_it(self, gateway: Any, path: Path, caplog: Any) -> None:
        damage(path)
        answer = await gateway.ask("GET", "/api/kernels", Authorization="token of-bob")
        assert (answer.code, json.loads(answer.body)["message"]) == (503, UNKNOWN)
        assert (await gateway.ask("GET", "/api/kernels")).code == 401, "no token, no question"
        assert await self.code(gateway, ADMIN_TOKEN) == 200
        assert str(path) in caplog.text and "of-bob" not in caplog.text

    @pytest.mark.gen_test
    async def test_no_token_is_in_the_log(self, gateway: Any, path: Path, caplog: Any) -> None:
        caplog.set_level("DEBUG")
        assert (await gateway.ask("GET", "/api?token=of-bob", Referer="http://h/?token=of-bob")).code == 200
        assert (await gateway.ask("GET", "/nothing?a=1&token=of-bob&b=2")).code == 404
        damage(path)
        assert (await gateway.ask("GET", "/api?token=of-bob", Authorization="token of-bob")).code == 503
        assert "/nothing?a=1&token=[token]&b=2" in caplog.text and "of-bob" not in caplog.text

    @pytest.mark.gen_test
    async def test_a_name_is_no_reason_to_be_refused(self, gateway: Any) -> None:
        """A page that rebinds its name to this address has no token; others reach the gateway by any name."""
        assert await self.code(gateway, "of-bob", Host="gateway.example") == 200
        assert (await gateway.ask("GET", "/api", Host="evil.example")).code == 401


class TestWithoutATokenOfTheGateway:
    @pytest.fixture
    def settings(self, path: Path) -> dict[str, Any]:
        return {"KG2ATPersonality": {"users_file": str(path), "allow_unauthenticated": True}}

    @pytest.mark.gen_test
    async def test_a_token_is_needed_all_the_same(self, gateway: Any) -> None:
        assert not gateway.app.auth_token
        assert [await TestGateway.code(gateway, token) for token in ("of-bob", "of-nobody", "")] == [200, 401, 401]
        assert (await gateway.ask("GET", "/api")).code == 401
        assert (await gateway.ask("GET", "/api?token=")).code == 401
        assert await TestGateway.code(gateway, "of-bob", Host="gateway.example") == 200
