"""A request's user: Jupyter Server's, and what the kernels' rooms know of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from jupyter_server.auth.identity import User
from tornado import web

from ...kernels.user import ADMINISTRATOR, GatewayUser

#: Most characters of a user's name.
MAX_NAME = 255


@dataclass
class TokenHolder(User):
    """Whoever has the gateway's one token, or needs none. `username` is Kernel Gateway's (GatewayIdentityProvider)."""

    username: str = "anonymous"


@dataclass
class KnownUser(User):
    """One whose provider knows more than the name. `max_cores` and `max_kernels` as for GatewayUser."""

    is_admin: bool = False
    max_cores: int | None = None
    max_kernels: int | None = None


def check_name(user: User) -> None:
    """Raise 403 for a name that can't stand in a kernel's environment, or that would be the administrators' ("")."""
    name: object = user.username
    if not isinstance(name, str) or not name or not name.isprintable() or len(name) > MAX_NAME:
        raise web.HTTPError(
            403, "The name by which the gateway knows you can't be used. Please tell the administrator."
        )


@dataclass(frozen=True)
class UserRules:
    """What the administrator has said of users by their names: settings `admin_users` and `user_limits`."""

    admins: Collection[str] = frozenset()
    limits: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    #: Whether the provider tells its users apart.
    names_users: bool = True

    def gateway_user(self, user: User) -> GatewayUser:
        """Return what kernels are started for. What a provider says of a user's bounds wins over the settings."""
        if isinstance(user, TokenHolder) or not self.names_users:
            return ADMINISTRATOR
        limits: Mapping[str, Any] = self.limits.get(user.username, {})
        own = user if isinstance(user, KnownUser) else KnownUser(user.username)
        return GatewayUser(
            user.username,
            own.is_admin or user.username in self.admins,
            limits.get("max_cores") if own.max_cores is None else own.max_cores,
            limits.get("max_kernels") if own.max_kernels is None else own.max_kernels,
        )
