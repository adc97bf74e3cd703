"""The personality: what it puts into Kernel Gateway, its begin and its orderly end."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import Any

from jupyter_server.utils import url_path_join
from kernel_gateway.auth.identity import GatewayIdentityProvider
from kernel_gateway.jupyter_websocket import JupyterWebsocketPersonality
from traitlets import TraitError, default

from .admission.messages import closing
from .adoption import take_over_kernels
from .announcement import Announcement
from .assembly import (
    ENV_PREFIX,
    clusters_of,
    event_logger_of,
    launcher_of,
    normal_base_url,
    port_range_of,
    profile_users_of,
    truth,
    warm_options_of,
    with_environment,
)
from .errors import ConfigError, StateDirInUse
from .kernels.kernel_events import KernelEvents
from .kernels.manager import GatewayKernelManager
from .kernels.offers import Offers
from .kernels.prespawn import prespawn
from .kernels.readiness import Readiness
from .kernels.resource_limits import raise_limits
from .kernels.sessions import GatewaySessionManager
from .kernels.specs import SparkKernelSpecManager
from .kernels.timing import Timing
from .settings import Settings
from .start_checks import check_classes, check_defaults, check_identity, check_spark
from .state.failpoints import Failpoints
from .state.ledger import Ledger
from .stop_signals import stop_by_signals
from .system.loopback import is_loopback
from .web import listen_backlog
from .web.channels.connection import ChannelsConnection
from .web.channels.websocket_access import WebsocketAccess
from .web.identity.page_cookie import PageSessions
from .web.identity.provider import TokenIdentityProvider, names_users, recheck_interval
from .web.identity.token_file import TokenFileIdentityProvider
from .web.identity.users import UserRules
from .web.kernel_metrics import KernelMetrics
from .web.log_filter import LogFilter
from .web.routes import guarded, own_routes

__all__ = ["ENV_PREFIX", "KG2ATPersonality"]


class KG2ATPersonality(Settings, JupyterWebsocketPersonality):  # type: ignore[misc]
    """Serves notebooks on Spark.

    Kernel Gateway builds it after its own managers and before its web application (gatewayapp.py,
    `init_configurables`), so the constructor puts kg2at's managers in their place. A set-up that can't work ends the
    gateway with exit status 1 and a sentence.
    """

    #: A test sets others.
    failpoints, timing = Failpoints(), Timing()

    def __init__(self, **kwargs: Any) -> None:
        app = kwargs["parent"]
        self._log_cleaner = LogFilter(lambda: app.auth_token)
        self._log_cleaner.install()
        try:
            super().__init__(**kwargs, config=with_environment(app.config, type(self).__name__))
            app.base_url = normal_base_url(app.base_url)
            check_classes(app)
            self._install_identity(app)
            check_defaults(self)
            self.launcher = launcher_of(self, self.log)
            self.offers = Offers(self.launcher)
            self._events = KernelEvents(event_logger_of(self, app))
            if self.inject_kernelspecs:
                check_spark(self.offers, self.launcher, self.master_url, self.log)
        except (ConfigError, TraitError) as error:
            app.log.critical("kg2at can't start. %s", error)
            app.exit(1)
        self._beginning: asyncio.Task[None] | None = None
        self._prespawn: asyncio.Task[None] | None = None
        self._is_ending = False
        app.io_loop.add_callback(self._listen_for_more)
        self._announcement = Announcement(app, self._ensure_token(), self.log)
        self._install_managers()
        stop_by_signals(app)

    @default("list_kernels")
    def list_kernels_default(self) -> bool:
        """Unlike the stock gateway, JupyterLab's list of running kernels works unless KG_LIST_KERNELS says no."""
        return truth(self.list_kernels_env, default=True)

    # What it puts into Kernel Gateway.

    def _install_identity(self, app: Any) -> None:
        """Put kg2at's identity provider in the stock one's place; an administrator's own stays. Raises ConfigError."""
        check_identity(app, self.users_file)
        if self.users_file:
            app.identity_provider = TokenFileIdentityProvider(self.users_file, parent=app, log=app.log)
        elif type(app.identity_provider) is GatewayIdentityProvider:
            app.identity_provider = TokenIdentityProvider(parent=app, log=app.log)
        app.authorizer.identity_provider = provider = app.identity_provider
        named = names_users(provider)
        if isinstance(provider, TokenIdentityProvider):
            provider.check()
            # IdentityProvider.token, as Jupyter Server's own setting is called, means the same.
            app.auth_token = provider.token = app.auth_token or provider.token
        elif named and not provider.token:
            # Without a token Jupyter Server's own `get_user` lets in whom the provider does not know, as Anonymous.
            provider.token = secrets.token_hex(24)
        self.websocket_access = WebsocketAccess(recheck_interval(provider), self.log)
        self.page_sessions = PageSessions()
        self.user_rules = UserRules(frozenset(self.admin_users), self.user_limits, named)

    def _install_managers(self) -> None:
        app = self.parent
        self.clusters = clusters_of(self, self.log, self.user_rules.names_users)
        offers = self.offers if self.inject_kernelspecs else None
        self.readiness = Readiness(offers, self.clusters, self.timing, self.log)
        app.kernel_spec_manager = self._derived("kernel_spec_manager_class", SparkKernelSpecManager)(
            parent=app,
            log=app.log,
            launcher=self.launcher,
            offers=self.offers,
            inject=self.inject_kernelspecs,
            profile_users=profile_users_of(self),
        )
        app.kernel_manager = self._derived("kernel_manager_class", GatewayKernelManager)(
            parent=app,
            log=app.log,
            connection_dir=app.runtime_dir,
            kernel_spec_manager=app.kernel_spec_manager,
            launcher=self.launcher,
            kernel_ports=port_range_of(self),
            max_kernels_per_user=self.max_kernels_per_user,
            job_wait_timeout=self.job_wait_timeout,
            max_kernel_log_size=self.max_kernel_log_size,
            max_buffered_output=self.max_buffered_output,
            warm_options=warm_options_of(self),
            clusters=self.clusters,
            failpoints=self.failpoints,
            timing=self.timing,
            shutdown_timeout=self.shutdown_timeout,
            **({"default_kernel_name": app.default_kernel_name} if app.default_kernel_name else {}),
        )
        self.kernel_metrics = KernelMetrics(app.kernel_manager)
        for listener in (self.kernel_metrics.hear, self._events.hear):
            app.kernel_manager.lives.journal.listen(listener)
        raise_limits(app.kernel_manager.context)
        app.session_manager = GatewaySessionManager(log=app.log, kernel_manager=app.kernel_manager)
        app.kernel_websocket_connection_class = self._derived("kernel_websocket_connection_class", ChannelsConnection)

    def _derived(self, name: str, ours: type) -> Any:
        """Return the class that the administrator derived from ours, or ours."""
        chosen = getattr(self.parent, name)
        return chosen if issubclass(chosen, ours) else ours

    def _ensure_token(self) -> bool:
        """Make a token when the gateway would else be open to others, as Jupyter Server does. Return whether it did."""
        app = self.parent
        if app.auth_token or self.allow_unauthenticated or self.user_rules.names_users:
            return False
        if self.allow_unauthenticated is None and is_loopback(app.ip):
            return False
        app.auth_token = app.identity_provider.token = secrets.token_hex(24)
        return True

    def create_request_handlers(self) -> list[tuple[Any, ...]]:
        """Called once by Kernel Gateway: its own routes, each behind kg2at's handler."""
        # Kernel Gateway has just set up tornado's log.
        self._log_cleaner.install()
        base_url = self.parent.base_url
        routes = own_routes(self.authenticate_metrics)
        own = [(url_path_join(base_url, path), handler) for path, handler in routes]
        return guarded(own + super().create_request_handlers(), base_url)

    def _listen_for_more(self) -> None:
        """Called once the loop runs, and the gateway listens."""
        server = getattr(self.parent, "http_server", None)
        try:
            if server is not None:
                listen_backlog.widen(server, self.listen_backlog)
        except OSError as error:
            self.log.warning("The system refuses listen_backlog %d: %s", self.listen_backlog, error)

    # Begin and end.

    async def init_configurables(self) -> None:
        """Called by Kernel Gateway once its loop runs: say where it listens, start the prespawned kernels.

        Called again, it waits for the same.
        """
        await self.begin()
        if self._prespawn is None and not self._is_ending:
            self._announcement.publish()
            self.parent.kernel_manager.warm_refill.open()
            self._prespawn = asyncio.create_task(prespawn(self.parent.kernel_manager, self.parent.prespawn_count or 0))
        if self._prespawn is not None:
            await self._prespawn

    async def begin(self) -> None:
        """Go on with the kernels that a gateway left which is gone. Whoever comes meanwhile waits for the same.

        Called before anybody is served, when the port is known. Ends the gateway when another has its directory.
        """
        if self._beginning is None:
            if self._is_ending:
                raise closing()
            self._beginning = asyncio.create_task(self._begin())
        await asyncio.shield(self._beginning)

    async def _begin(self) -> None:
        app, manager = self.parent, self.parent.kernel_manager
        directory = self.state_dir or os.path.join(app.runtime_dir, f"kg2at-{app.port}")
        about = {"process": os.getpid(), "host": socket.gethostname(), "port": app.port}
        try:
            await take_over_kernels(manager, Ledger(directory, about, self.log, manager.timing.lock_limit))
        except StateDirInUse as error:
            app.log.critical("kg2at can't start. %s", error)
            app.exit(1)
        app.session_manager.restore()
        self.readiness.open()

    async def shutdown(self) -> None:
        """Called by Kernel Gateway at its end, which waits for it: end all kernels, whatever has failed."""
        self._is_ending = True
        try:
            if self._prespawn is not None:
                self._prespawn.cancel()
            manager = self.parent.kernel_manager
            manager.starts.close()  # now: what is launched from here on would only be ended
            self._announcement.withdraw()
            await self.readiness.close()
            self.websocket_access.close()
            if self._beginning is not None:
                await asyncio.gather(self._beginning, return_exceptions=True)
            await self.clusters.close()
            if self.launcher.options.fast_starts is not None:
                await asyncio.to_thread(self.launcher.options.fast_starts.close)
            await (manager.leave_all_kernels() if self.keep_kernels_on_exit else manager.shutdown_all_kernels())
        except Exception:
            self.log.exception("Not every kernel could be shut down")
