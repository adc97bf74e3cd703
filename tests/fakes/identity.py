"""Identity providers that tell users apart: as an administrator writes one, and one derived from kg2at's own."""

from __future__ import annotations

from typing import Any, ClassVar

from jupyter_server.auth.authorizer import Authorizer
from jupyter_server.auth.identity import User
from kernel_gateway.auth.identity import GatewayIdentityProvider
from tornado.web import RequestHandler

from kg2at_personality.web.identity.provider import TokenIdentityProvider
from kg2at_personality.web.identity.users import KnownUser

#: Token -> who has it.
USERS = {f"token-of-{name}": name for name in ("alice", "bob", "root")}
ALICE, BOB, ROOT = ({"Authorization": f"token {token}"} for token in USERS)
WRONG = {"Authorization": "token wrong"}


class NamedTokens(TokenIdentityProvider):
    """Three users with a token each; root is the administrator."""

    names_users = True

    def user_of(self, token: str) -> User | None:
        name = USERS.get(token)
        return None if name is None else KnownUser(name, is_admin=name == "root")


class OwnProvider(GatewayIdentityProvider):  # type: ignore[misc]
    """An administrator's own, which counts how often it is asked. Who the administrators are, the settings say."""

    asked = 0

    async def get_user(self, handler: RequestHandler) -> User | None:
        type(self).asked += 1
        kind, _, token = handler.request.headers.get("Authorization", "").partition(" ")
        name = USERS.get(token) if kind == "token" else None
        return None if name is None else User(name)


class OwnTokens(GatewayIdentityProvider):  # type: ignore[misc]
    """One that leaves it to Jupyter Server to ask for a token, for a cookie, and else to let in."""

    async def get_user_token(self, handler: RequestHandler) -> User | None:
        name = USERS.get(self.get_token(handler) or "")
        return None if name is None else User(name)


class NotedActions(Authorizer):
    """Notes what it is asked, and refuses what `refused` says."""

    asked: ClassVar[list[tuple[str, str, str]]] = []
    refused: ClassVar[set[tuple[str, str]]] = set()

    def is_authorized(self, handler: RequestHandler, user: User, action: str, resource: str) -> bool:
        self.asked.append((user.username, action, resource))
        return (action, resource) not in self.refused


def with_users(provider: type = NamedTokens, **more: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the traits of a gateway with that provider, and `more` by class name."""
    app = {"identity_provider_class": provider} | more.pop("KernelGatewayApp", {})
    own = {"admin_users": ["root"]} | more.pop("KG2ATPersonality", {})
    return {"KernelGatewayApp": app, "KG2ATPersonality": own, **more}
