"""JupyterHub's users: the gateway is a service of the Hub, which is asked whose token a request has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Collection
from functools import cached_property
from typing import Any

from jupyter_server.auth.identity import User
from traitlets import Float

from ...errors import AccessNotGranted, ConfigError, HubUnreachable
from .provider import TokenIdentityProvider
from .users import KnownUser

#: What may be a token of the Hub, and stands in a header as it is; nothing else is sent there.
TOKEN = re.compile(r"[!-~]{1,1024}")


class JupyterHubIdentityProvider(TokenIdentityProvider):
    """Lets in whoever has a token of JupyterHub with the scope to access the gateway's service.

    `c.KernelGatewayApp.identity_provider_class` chooses it. jupyterhub's own HubAuth asks the Hub, and keeps its answer
    for `c.HubAuth.cache_max_age` seconds; its settings come from `c.HubAuth`, and from the variables (JUPYTERHUB_...)
    that a Hub gives to the services it starts.
    """

    names_users = True
    recheck_interval = Float(
        60.0,
        min=0.01,
        help="""Seconds between two looks whether the users of open websockets are still let in. Fewer end their access
        sooner once `c.HubAuth.cache_max_age` is over, more cost less.""",
    ).tag(config=True)
    timeout = Float(
        10.0,
        min=0.1,
        help="""Seconds that JupyterHub may take to say whose token a request has; it gets a 503 then. A larger value
        bears with a slow Hub, and lets notebooks wait for one that hangs.""",
    ).tag(config=True)
    #: Most wrong tokens that are remembered as such: HubAuth has no bound of its own for what it keeps.
    max_wrong_tokens = 10_000
    _wrong_tokens = 0

    def check(self) -> None:
        """Raise ConfigError without jupyterhub, or where nothing says which scope lets users in."""
        if not self._hub_auth.access_scopes:
            raise ConfigError(
                "JupyterHub's scope for this gateway is not known. Set JUPYTERHUB_SERVICE_NAME to the service's name, "
                'or c.HubAuth.access_scopes to {"access:services!service=NAME"}.'
            )

    async def user_of(self, token: str) -> User | None:
        """Return whose token it is; None where the Hub does not know it.

        Raises HubUnreachable, and AccessNotGranted for a token without the scope.
        """
        if not TOKEN.fullmatch(token):
            return None
        model = await self._ask(token)
        if model is None:
            self._count_wrong_token()
            return None
        if not _is_user_model(model):
            self._hub_auth.cache.clear()  # else it would be the answer for as long as a good one
            self.log.warning("What JupyterHub answers at %s is no user: is it a Hub?", self._hub_auth.api_url)
            raise _unreachable()
        scopes = self._hub_auth.access_scopes
        if not self._hub_auth.check_scopes(scopes, model):
            raise _not_granted(scopes)
        return KnownUser(_name(model), is_admin=model.get("admin") is True)

    @cached_property
    def _hub_auth(self) -> Any:
        """What asks the Hub. Imported here alone, so that other gateways need no jupyterhub."""
        try:
            from jupyterhub.services.auth import HubAuth
        except ImportError as error:
            raise ConfigError(
                f"JupyterHubIdentityProvider needs the package jupyterhub: pip install 'kg2at[hub]' ({error})."
            ) from error
        return HubAuth(parent=self)

    async def _ask(self, token: str) -> Any:
        """Return the Hub's model of whose token it is, perhaps a kept one; None if nobody's."""
        try:
            return await asyncio.wait_for(self._hub_auth.user_for_token(token, sync=False), self.timeout)
        except Exception as error:  # HubAuth passes on whatever goes wrong: HTTPError, those of JSON, UnboundLocalError
            self.log.warning("JupyterHub at %s can't be asked: %r", self._hub_auth.api_url, error)
            raise _unreachable() from error

    def _count_wrong_token(self) -> None:
        """Forget all tokens when there may be too many wrong ones among them."""
        self._wrong_tokens += 1
        if self._wrong_tokens >= self.max_wrong_tokens:
            self._wrong_tokens = 0
            self._hub_auth.cache.clear()


def _is_user_model(model: Any) -> bool:
    """Return whether it is what the Hub says of a user or a service (jupyterhub, apihandlers/users.py)."""
    if not isinstance(model, dict):
        return False
    name, scopes = model.get("name"), model.get("scopes")
    is_name = isinstance(name, str) and name != "" and name.isprintable()
    return is_name and isinstance(scopes, list) and all(isinstance(each, str) for each in scopes)


def _name(model: dict[str, Any]) -> str:
    """Return who it is. No user's name has a slash (Authenticator.validate_username), so no service passes for one."""
    return f"services/{model['name']}" if model.get("kind") == "service" else str(model["name"])


def _unreachable() -> HubUnreachable:
    return HubUnreachable("JupyterHub can't be asked who you are. Try again; the gateway's log says more.")


def _not_granted(scopes: Collection[str]) -> AccessNotGranted:
    return AccessNotGranted(
        f"Your token of JupyterHub lacks the scope {' or '.join(sorted(scopes))}, which opens this gateway. Have the "
        "Hub's administrator give it to your role and to the tokens of servers, then restart your server."
    )
