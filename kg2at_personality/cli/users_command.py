"""`jupyter kg2at users`: the users that a gateway lets in, each by a token of their own."""

from __future__ import annotations

import secrets
import sys
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any, ClassVar

from traitlets import Bool, Int

from ..errors import KG2ATError
from ..users_file import MOST, FileUser, changing, check_name, digest_of, read
from .command import OK, WRONG, Command
from .jupyter_command import UsageError
from .output import print_json, printable, say

#: Random bytes of a token. It is written in hex: no character of it is another one to a shell, a URL or an option.
TOKEN_BYTES = 32
COLUMNS = {
    "name": "user",
    "admin": "admin",
    "max_cores": "most cores",
    "max_kernels": "most kernels",
    "since": "token since",
}


class UsersCommand(Command):
    """A command about the file of users."""

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **Command.aliases,
        "users-file": "KG2ATPersonality.users_file",
    }

    @property
    def path(self) -> str:
        """Return the file that the gateway would read. Raises UsageError when none is named."""
        if not self.settings.users_file:
            raise UsageError(
                "name the file of the users: --users-file, KG2AT_USERS_FILE, or KG2ATPersonality.users_file in the "
                "configuration file, where the gateway reads it too"
            )
        return str(self.settings.users_file)

    def only_name(self) -> str:
        """Return the argument. Raises UsageError for none, and for what can't be a name."""
        if not self.extra_args:
            raise UsageError("name the user; --help tells the usage")
        try:
            check_name(self.extra_args[0])
        except ValueError as error:
            raise UsageError(str(error)) from error
        return str(self.extra_args[0])

    def show_token(self, name: str, user: FileUser, token: str) -> None:
        """Print the token, this once, and on standard error what it is for."""
        if self.as_json:
            print_json({"name": name, "token": token} | _shown(user))
            return
        print(token, flush=True)
        say(
            f"This is the token of {name}, which is kept nowhere and not shown again. JupyterLab connects with it by\n"
            "    export JUPYTER_GATEWAY_AUTH_TOKEN=<the token>\n"
            "    jupyter lab --gateway-url=<the gateway's address>\n"
            "The gateway takes it at once; one that has no users yet, once it is started with "
            f"KG2AT_USERS_FILE={printable(self.path)}."
        )


class AddApp(UsersCommand):
    """`users add`: let one more user in."""

    name = "jupyter-kg2at-users-add"
    description = "Let one more user in, and print their token, which nobody can look up later: users add NAME."
    examples = "jupyter kg2at users add alice --admin\njupyter kg2at users add bob --max-cores 8 --max-kernels 2"
    positional = 1

    admin = Bool(False, help="Whether they see and may end everybody's kernels.").tag(config=True)
    max_cores = Int(
        None,
        min=0,
        max=MOST,
        allow_none=True,
        help="Most cores that their kernels may hold together, 0 for no bound. None: as the gateway's settings say.",
    ).tag(config=True)
    max_kernels = Int(
        None,
        min=0,
        max=MOST,
        allow_none=True,
        help="Most kernels that they may have, 0 for no bound. None: as the gateway's settings say.",
    ).tag(config=True)

    aliases: ClassVar[Any] = {  # type: ignore[misc]
        **UsersCommand.aliases,
        "max-cores": "AddApp.max_cores",
        "max-kernels": "AddApp.max_kernels",
    }
    flags: ClassVar[Any] = {  # type: ignore[misc]
        **UsersCommand.flags,
        "admin": ({"AddApp": {"admin": True}}, "They see and may end everybody's kernels."),
    }

    def run(self) -> int:
        """Add the user that is named. Called for `users add`. Raises KG2ATError for one that is there."""
        name, token = self.only_name(), _new_token()
        user = FileUser(digest_of(token), _now(), self.admin, self.max_cores, self.max_kernels)
        with changing(self.path) as users:
            if name in users:
                raise KG2ATError(
                    f"There is a user {name} already. `jupyter kg2at users rotate` gives them a new token."
                )
            users[name] = user
        self.show_token(name, user, token)
        return OK


class RotateApp(UsersCommand):
    """`users rotate`: give a user another token."""

    name = "jupyter-kg2at-users-rotate"
    description = "Give a user a new token in the place of the old one, which ends at once: users rotate NAME."
    examples = "jupyter kg2at users rotate alice"
    positional = 1

    def run(self) -> int:
        """Replace the token of the user that is named. Called for `users rotate`. Raises KG2ATError for an unknown."""
        name, token = self.only_name(), _new_token()
        with changing(self.path) as users:
            if name not in users:
                raise KG2ATError(_unknown(name))
            users[name] = user = replace(users[name], token=digest_of(token), since=_now())
        self.show_token(name, user, token)
        return OK


class RemoveApp(UsersCommand):
    """`users remove`: let users in no more."""

    name = "jupyter-kg2at-users-remove"
    description = "Let users in no more: users remove NAME ... Their kernels stay, until an administrator ends them."
    examples = "jupyter kg2at users remove alice bob"
    positional = sys.maxsize

    def run(self) -> int:
        """Remove those that are named; WRONG where one is unknown. Called for `users remove`."""
        if not self.extra_args:
            raise UsageError("name the users to remove; `jupyter kg2at users list` shows them")
        with changing(self.path) as users:
            removed = {name: users.pop(name, None) is not None for name in self.extra_args}
        if self.as_json:
            print_json([{"name": name, "removed": was_there} for name, was_there in removed.items()])
        else:
            for name, was_there in removed.items():
                said = f"{printable(name)} is let in no more." if was_there else _unknown(name)
                print(said, file=sys.stdout if was_there else sys.stderr, flush=True)
        return OK if all(removed.values()) else WRONG


class ListApp(UsersCommand):
    """`users list`: who is let in."""

    name = "jupyter-kg2at-users-list"
    description = "Who is let in: administrators, bounds of their own, and since when they have their token."
    examples = "jupyter kg2at users list --users-file /etc/kg2at/users.json"

    def run(self) -> int:
        """Print the users. Called for `users list`, and `users`."""
        users = read(self.path)
        rows = [{"name": name} | _shown(user) for name, user in sorted(users.items())]
        if not self.as_json:
            rows = [row | {"admin": "yes" if row["admin"] else ""} for row in rows]
        self.table(rows, COLUMNS)
        return OK


class UsersApp(ListApp):
    """`users`: the same, and the way to the others."""

    name = "jupyter-kg2at-users"
    description = "Who may use a gateway, each with a token of their own: the file that its setting users_file names."
    examples = "jupyter kg2at users add alice --admin\njupyter kg2at users list\njupyter kg2at users rotate alice"
    subcommands: ClassVar[Any] = {  # type: ignore[misc]
        "add": (AddApp, "Let one more user in, and print their token."),
        "list": (ListApp, "Show who is let in."),
        "remove": (RemoveApp, "Let users in no more: NAME ..."),
        "rotate": (RotateApp, "Give a user a new token."),
    }


def _new_token() -> str:
    return secrets.token_hex(TOKEN_BYTES)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def _shown(user: FileUser) -> dict[str, Any]:
    """Return what a user is, without the token."""
    return {name: value for name, value in asdict(user).items() if name != "token"}


def _unknown(name: str) -> str:
    return f"There is no user {name!r}; `jupyter kg2at users list` shows them."
