"""The personality: its settings, its start-up checks, its wiring into Kernel Gateway, its orderly end."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import threading
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from jupyter_server.utils import url_path_join
from kernel_gateway.jupyter_websocket import JupyterWebsocketPersonality
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import TraitError, default

from . import runtime_file
from .admission.clusters import Clusters, MasterOptions
from .admission.messages import closing
from .admission.queue import AdmissionPolicy
from .assembly import ENV_PREFIX, is_loopback, launcher_of, normal_base_url, truth, with_environment
from .errors import ConfigError, StateDirInUse
from .kernels.manager import GatewayKernelManager
from .kernels.port_range import PortRange
from .kernels.prespawn import prespawn
from .kernels.room import enlarge
from .kernels.sessions import GatewaySessionManager
from .kernels.specs import ToreeKernelSpecManager
from .settings import Settings
from .spark.master import master_urls
from .state.ledger import Ledger
from .web import listen_backlog, status
from .web.channels.connection import ChannelsConnection
from .web.log_filter import UNFILTERED, LogFilter
from .web.routes import guarded

__all__ = ["ENV_PREFIX", "KG2ATPersonality"]


class KG2ATPersonality(Settings, JupyterWebsocketPersonality):  # type: ignore[misc]
    """Serves Toree notebooks on Spark.

    Kernel Gateway builds it after its own managers and before its web application (gatewayapp.py,
    `init_configurables`), so the constructor puts kg2at's managers in their place. A set-up that can't work ends the
    gateway with exit status 1 and a sentence.
    """

    def __init__(self, **kwargs: Any) -> None:
        app = kwargs["parent"]
        self._log_cleaner = LogFilter(lambda: app.auth_token)
        self._log_cleaner.install()
        try:
            super().__init__(**kwargs, config=with_environment(app.config, type(self).__name__))
            app.base_url = normal_base_url(app.base_url)
            self._check_managers()
            self._check_defaults()
            self.launcher = launcher_of(self)
            if self.inject_kernelspecs:
                self._check_spark()
        except (ConfigError, TraitError) as error:
            app.log.critical("kg2at can't start. %s", error)
            app.exit(1)
        self._beginning: asyncio.Task[None] | None = None
        self._prespawn: asyncio.Task[None] | None = None
        self._is_ending = False
        self._runtime_file: runtime_file.RuntimeFile | None = None
        app.io_loop.add_callback(self._listen_for_more)
        self._ensure_token()
        self._install_managers()
        _let_kernels_be_interrupted(app)

    @default("list_kernels")
    def list_kernels_default(self) -> bool:
        """Unlike the stock gateway, JupyterLab's list of running kernels works unless KG_LIST_KERNELS says no."""
        return truth(self.list_kernels_env, default=True)

    # Start-up checks.

    def _check_managers(self) -> None:
        """Refuse managers that would bypass kg2at's. Raises ConfigError."""
        expected = {
            "kernel_manager_class": (SeedingMappingKernelManager, GatewayKernelManager),
            "kernel_spec_manager_class": (KernelSpecManager, ToreeKernelSpecManager),
            "kernel_websocket_connection_class": (ZMQChannelsWebsocketConnection, ChannelsConnection),
        }
        for name, (stock, ours) in expected.items():
            chosen = getattr(self.parent, name)
            if chosen is not stock and not issubclass(chosen, ours):
                raise ConfigError(
                    f"KernelGatewayApp.{name} is {chosen.__module__}.{chosen.__qualname__}, but kg2at brings its own. "
                    f"Remove that setting, or derive the class from {ours.__module__}.{ours.__qualname__}."
                )

    def _check_defaults(self) -> None:
        """Raises ConfigError for a variable that no default can be made of, before Kernel Gateway asks for it."""
        for name in self.class_trait_names(config=True):
            getattr(self, name)

    def _check_spark(self) -> None:
        """Read Spark's configuration once. Raises ConfigError for what would fail every kernel."""
        confs = [self.launcher.conf(profile) for profile in ("", *self.profiles)]
        conf = confs[0]
        for each in confs:
            master_urls(each, self.master_url)
        for sentence in dict.fromkeys(sentence for each in confs for sentence in each.ignored):
            self.log.warning("%s", sentence)
        found = self.launcher.finder.find(conf.environ)
        for sentence in found.warnings:
            self.log.warning("%s", sentence)
        self.log.info(
            "Spark %s in %s, Java %s, Toree %s",
            found.spark.version,
            found.spark.home,
            found.java.version,
            found.toree.version,
        )

    # Wiring.

    def _make_clusters(self) -> Clusters:
        policy = AdmissionPolicy(
            core_check=self.core_check,
            core_wait_timeout=self.core_wait_timeout,
            core_poll_interval=self.core_poll_interval,
            core_requirement=self.core_requirement,
            max_queue=self.max_queue,
            max_cores_per_user=self.max_cores_per_user,
            master_unreachable=self.master_unreachable,
        )
        options = MasterOptions(
            self.master_url,
            self.master_timeout,
            self.master_validate_cert,
            self.master_ca_certs,
            self.master_max_answer,
        )
        return Clusters(policy, options, self.log)

    def _install_managers(self) -> None:
        app = self.parent
        self.clusters = self._make_clusters()
        app.kernel_spec_manager = self._derived("kernel_spec_manager_class", ToreeKernelSpecManager)(
            parent=app, log=app.log, launcher=self.launcher, inject=self.inject_kernelspecs
        )
        app.kernel_manager = self._derived("kernel_manager_class", GatewayKernelManager)(
            parent=app,
            log=app.log,
            connection_dir=app.runtime_dir,
            kernel_spec_manager=app.kernel_spec_manager,
            launcher=self.launcher,
            kernel_ports=PortRange.parse(self.kernel_ports) if self.kernel_ports else None,
            max_kernel_log_size=self.max_kernel_log_size,
            max_buffered_output=self.max_buffered_output,
            clusters=self.clusters,
            shutdown_timeout=self.shutdown_timeout,
            **({"default_kernel_name": app.default_kernel_name} if app.default_kernel_name else {}),
        )
        enlarge(app.kernel_manager.context)
        app.session_manager = GatewaySessionManager(log=app.log, kernel_manager=app.kernel_manager)
        app.kernel_websocket_connection_class = self._derived("kernel_websocket_connection_class", ChannelsConnection)

    def _derived(self, name: str, ours: type) -> Any:
        """The class that the administrator derived from ours, or ours."""
        chosen = getattr(self.parent, name)
        return chosen if issubclass(chosen, ours) else ours

    def _ensure_token(self) -> None:
        """Make a token when the gateway would else be open to others (as Jupyter Server does)."""
        app = self.parent
        self._made_token = False
        if app.auth_token or self.allow_unauthenticated:
            return
        if self.allow_unauthenticated is None and is_loopback(app.ip):
            return
        app.auth_token = app.identity_provider.token = secrets.token_hex(24)
        self._made_token = True

    def create_request_handlers(self) -> list[tuple[Any, ...]]:
        """Called once by Kernel Gateway: its own routes, each behind kg2at's handler."""
        # Kernel Gateway has just set up tornado's log.
        self._log_cleaner.install()
        base_url = self.parent.base_url
        own = [(url_path_join(base_url, path), handler) for path, handler in status.routes]
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
            self._say_where()
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
            await manager.begin(Ledger(directory, about, self.log))
        except StateDirInUse as error:
            app.log.critical("kg2at can't start. %s", error)
            app.exit(1)
        app.session_manager.restore()

    def _say_where(self) -> None:
        app = self.parent
        host = "127.0.0.1" if app.ip in ("", "0.0.0.0", "::", "*") else app.ip  # noqa: S104
        host = f"[{host}]" if ":" in host else host
        url = f"http{'s' if app.certfile else ''}://{host}:{app.port}{app.base_url.rstrip('/')}"
        token = app.auth_token if self._made_token else "<your token>"
        login, option = (f"/?token={token}", f" --GatewayClient.auth_token={token}") if app.auth_token else ("", "")
        self._write_runtime_file(url)
        shown = {UNFILTERED: True}
        self.log.info("kg2at serves Spark at %s%s", url, login, extra=shown)
        self.log.info("Connect JupyterLab to it: jupyter lab --gateway-url=%s%s", url, option, extra=shown)

    def _write_runtime_file(self, url: str) -> None:
        """Tell `jupyter kg2at status` where this gateway is."""
        app = self.parent
        try:
            self._runtime_file = runtime_file.write(app.runtime_dir, app.port, url, app.auth_token, app.certfile or "")
        except OSError as error:
            self.log.warning("`jupyter kg2at status` won't find this gateway by itself: %s", error)

    async def shutdown(self) -> None:
        """Called by Kernel Gateway at its end, which waits for it: end all kernels, whatever has failed."""
        self._is_ending = True
        try:
            if self._runtime_file is not None:
                self._runtime_file.remove()
            if self._prespawn is not None:
                self._prespawn.cancel()
            if self._beginning is not None:
                await asyncio.gather(self._beginning, return_exceptions=True)
            await self.clusters.close()
            manager = self.parent.kernel_manager
            await (manager.leave_all_kernels() if self.keep_kernels_on_exit else manager.shutdown_all_kernels())
        except Exception:
            self.log.exception("Not every kernel could be shut down")


def _let_kernels_be_interrupted(app: Any) -> None:
    """Give SIGINT a handler, since a kernel inherits an ignored signal but no handler.

    nohup and `&` in a script start a gateway with SIGINT ignored; it goes on to ignore it. Where nobody could confirm
    at a terminal, SIGINT ends the gateway as SIGTERM does, with all its kernels.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda signum, frame: None)
    elif handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, app._signal_stop)
