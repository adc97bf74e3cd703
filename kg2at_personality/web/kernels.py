"""`/api/kernels`: start, list, interrupt, restart, shut down."""

from __future__ import annotations

import json
from typing import Any

from jupyter_client.jsonutil import json_default
from jupyter_server.auth.decorator import authorized
from jupyter_server.utils import url_escape, url_path_join
from kernel_gateway.services.kernels import handlers
from tornado import web

from ..kernels.kernel import GatewayKernel
from ..kernels.manager import GatewayKernelManager
from ..state.ledger import KERNEL_ID_PATTERN
from .body import kind, object_field, text_field
from .handler import GatewayHandler
from .stock_handlers import stock_handler

#: Most characters of a kernel id, which names files. Its pattern is jupyter_server's (services/kernels/handlers.py).
MAX_KERNEL_ID = 100

StockMainHandler = stock_handler(handlers, "MainKernelHandler")
StockKernelHandler = stock_handler(handlers, "KernelHandler")
StockActionHandler = stock_handler(handlers, "KernelActionHandler")


class MainKernelHandler(GatewayHandler, StockMainHandler):  # type: ignore[misc, valid-type]
    """Starts and lists kernels."""

    @web.authenticated
    @authorized
    async def post(self) -> None:
        """Start a kernel: 201 with its model. The body may hold `name`, `path`, `kernel_id` and `env`."""
        body = self.get_json_body() or {}
        start = self.kernel_manager.start_kernel(
            kernel_name=text_field(body, "name"),
            path=text_field(body, "path"),
            kernel_id=_kernel_id(body),
            env=self._env(body),
            user=self.gateway_user,
        )
        kernel_id = await self.while_connected(start, self.kernel_manager.shutdown_kernel)
        self.set_header("Location", url_path_join(self.base_url, "api", "kernels", url_escape(kernel_id)))
        self.set_status(201)
        self.finish(_model(self.kernel_manager, kernel_id))

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with the kernels of the user, of an administrator with all; 403 where the gateway lists none."""
        self.check_listing()
        manager = self.kernel_manager
        seen = [each for each in manager.kernels() if self.gateway_user.sees(each.owner)]
        self.finish(json.dumps([manager.kernel_model(each.kernel_id) for each in seen], default=json_default))

    def _env(self, body: dict[str, Any]) -> dict[str, str] | None:
        """Return the variables of `env` that a client may set: KERNEL_* and the administrator's whitelist.

        None when it sent no `env`. Raises 400 for what can't be an environment variable.
        """
        env = object_field(body, "env")
        if env is None:
            return None
        passed = {
            name: value for name, value in env.items() if name.startswith("KERNEL_") or name in self.env_whitelist
        }
        for name, value in passed.items():
            _check_variable(name, value)
        return passed


def _check_variable(name: str, value: Any) -> None:
    """Raise 400 for what the operating system takes for no environment variable."""
    if not isinstance(value, str):
        raise web.HTTPError(400, f"{name!r} in 'env' must be a string, not {kind(value)}.")
    if not name or "=" in name or "\0" in name + value:
        raise web.HTTPError(400, f"{name!r} in 'env' can't be an environment variable.")
    try:
        (name + value).encode()
    except UnicodeEncodeError as error:
        raise web.HTTPError(400, f"{name!r} in 'env' holds a lone surrogate.") from error


def _kernel_id(body: dict[str, Any]) -> str | None:
    """Return the id that the client chose for its kernel, None when it left that to the gateway."""
    kernel_id = text_field(body, "kernel_id")
    if kernel_id is not None and (len(kernel_id) > MAX_KERNEL_ID or not KERNEL_ID_PATTERN.fullmatch(kernel_id)):
        raise web.HTTPError(400, "'kernel_id' must look like a UUID.")
    return kernel_id


def _model(manager: GatewayKernelManager, kernel_id: str) -> str:
    """Return a kernel's model as JSON."""
    return json.dumps(manager.kernel_model(kernel_id), default=json_default)


class KernelHandler(GatewayHandler, StockKernelHandler):  # type: ignore[misc, valid-type]
    """Shows and ends one kernel."""

    @web.authenticated
    @authorized
    async def delete(self, kernel_id: str) -> None:
        """204 when nothing is left of the kernel, also for one that has ended before; 404 for an unknown id."""
        await self.kernel_manager.shutdown_kernel(kernel_id, by=self.gateway_user)
        self.set_status(204)
        self.finish()


class KernelActionHandler(GatewayHandler, StockActionHandler):  # type: ignore[misc, valid-type]
    """Interrupts and restarts kernels."""

    @web.authenticated
    @authorized
    async def post(self, kernel_id: str, action: str) -> None:
        """`interrupt`: 204; `restart`: 200 with the kernel's model. 409 for an interrupt of a dead kernel.

        503 when the operating system refuses the signal.
        """
        kernel: GatewayKernel = self.kernel_manager.get_kernel(kernel_id)
        if action == "restart":
            manager, user = self.kernel_manager, self.gateway_user
            with manager.lives.restart(kernel, user), manager.starts.restarting(kernel, user):
                await manager.restart_kernel(kernel_id)
            self.finish(_model(self.kernel_manager, kernel_id))
            return
        if kernel.is_dead:
            raise web.HTTPError(409, "The kernel is dead, there is nothing to interrupt. Restart it.")
        try:
            # jupyter_client declares the method of the manager that isn't asynchronous.
            with self.kernel_manager.lives.interrupt(kernel):
                await self.kernel_manager.interrupt_kernel(kernel_id)
        except OSError as error:
            raise web.HTTPError(503, f"The system refused to interrupt the kernel: {error}") from error
        self.set_status(204)
        self.finish()


#: For the page's button: the page's cookie does not hold for the API.
routes = [(rf"/kg2at/kernels/(?P<kernel_id>{KERNEL_ID_PATTERN.pattern})", KernelHandler)]
