"""The identity provider of a gateway whose users each have a token of their own, by the users file."""

from __future__ import annotations

import os
import time
from logging import Logger
from typing import Any

from traitlets import Float

from ... import users_file
from ...errors import ConfigError
from ...plural import counted
from .provider import TokenIdentityProvider
from .users import KnownUser

#: Seconds after a change until the file's own times tell it from the next: a file system may count them by the second.
SETTLING = 2.0
UNKNOWN = (
    "The gateway can't tell now whose token this is, since its list of users can't be read. Please tell the "
    "administrator: the gateway's log says why."
)


class TokenFileIdentityProvider(TokenIdentityProvider):
    """Lets in whoever has a token of the users file, as it is now."""

    names_users = True
    recheck_interval = Float(
        2.0,
        min=0.01,
        config=True,
        help="Seconds between two looks whether the users of open websockets are still in the users file. Fewer end "
        "their access sooner, more cost less.",
    )

    def __init__(self, path: str, **kwargs: Any) -> None:
        """Read the file. Raises ConfigError when that can't be used."""
        super().__init__(**kwargs)
        self._file = TokenFile(path, self.log)

    def user_of(self, token: str) -> KnownUser | None:
        """Return whose token it is, None if nobody's. Raises ConfigError while the file can't be used."""
        return self._file.user_of(token) if token else None


class TokenFile:
    """A users file that is read afresh as soon as it has changed."""

    def __init__(self, path: str, log: Logger, settling: float = SETTLING) -> None:
        """Read it. Raises ConfigError when that can't be used."""
        self._path, self._log, self._settling = path, log, settling
        #: What the file was before it was read; None: it is read the next time in any case.
        self._state = self._state_now()
        self._content = users_file.content_of(path)
        #: By the digests of their tokens; None while the file can't be used.
        self._users: dict[str, KnownUser] | None = self._users_in(self._content)
        self._problem = ""

    def user_of(self, token: str) -> KnownUser | None:
        """Return whose token it is, None if nobody's. Raises ConfigError while the file can't be used."""
        state = self._state_now()
        if self._users is None or state is None or state != self._state:
            self._state = state
            self._read_again()
        if self._users is None:
            raise ConfigError(UNKNOWN)
        return self._users.get(users_file.digest_of(token))

    def _state_now(self) -> tuple[int, ...] | None:
        """Return what differs as soon as the file is another, or is written to; () for one that can't be seen.

        None while it has changed so recently that the next change may look the same.
        """
        try:
            seen = os.stat(self._path)
        except OSError:
            return ()
        if time.time() - seen.st_ctime < self._settling:
            return None
        return seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns

    def _read_again(self) -> None:
        """Nobody is let in any more where that fails. The log tells it once."""
        before, self._users = self._users, None
        try:
            content = users_file.content_of(self._path)
            if before is not None and content == self._content:
                self._users = before
            else:
                self._users, self._content = self._users_in(content), content
                self._log.info("The users file was read: it lets in %s.", counted(len(self._users), "user"))
            self._problem = ""
        except ConfigError as error:
            if str(error) != self._problem:
                self._log.error("No user is let in. %s", error)
            self._problem = str(error)

    def _users_in(self, content: bytes) -> dict[str, KnownUser]:
        return {
            user.token: KnownUser(name, is_admin=user.admin, max_cores=user.max_cores, max_kernels=user.max_kernels)
            for name, user in users_file.users_in(content, self._path).items()
        }
