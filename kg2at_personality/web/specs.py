"""`/api/kernelspecs` without argv and env, the specs' logos, and the API's own description."""

from __future__ import annotations

import asyncio
import json
import posixpath
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from jupyter_client.kernelspec import NoSuchKernel
from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.services.kernelspecs.handlers import kernelspec_model
from jupyter_server.utils import url_unescape
from kernel_gateway.base import handlers as base
from kernel_gateway.mixins import CORSMixin
from kernel_gateway.services.kernelspecs import handlers
from tornado import web

from . import openapi
from .handler import GatewayHandler
from .stock_handlers import stock_handler

#: The files that the listing names (jupyter_server.services.kernelspecs.handlers.kernelspec_model).
RESOURCES = ("kernel.js", "kernel.css", "logo-*")

StockVersionHandler = stock_handler(base, "APIVersionHandler")
StockMainHandler = stock_handler(handlers, "MainKernelSpecHandler")
StockSpecHandler = stock_handler(handlers, "KernelSpecHandler")
StockResourceHandler = stock_handler(handlers, "KernelSpecResourceHandler")


class DescriptionHandler(GatewayHandler, CORSMixin, JupyterHandler):  # type: ignore[misc]
    """Serves the API's own description."""

    auth_resource = "api"
    content_type: str
    #: Returns the description of a gateway at a base URL.
    written: Callable[[str], str]

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with the description."""
        # YAML takes a tenth of a second to be read, the first time.
        text = await asyncio.to_thread(self.written, self.base_url)
        self.set_header("Content-Type", self.content_type)
        self.finish(text)

    #: tornado leaves out the body.
    head = get


class SpecJsonHandler(DescriptionHandler):
    """As JSON."""

    content_type, written = "application/json", staticmethod(openapi.as_json)


class APIYamlHandler(DescriptionHandler):
    """As YAML."""

    content_type, written = "text/x-yaml", staticmethod(openapi.as_yaml)


class APIVersionHandler(GatewayHandler, StockVersionHandler):  # type: ignore[misc, valid-type]
    """The version, which Jupyter Server tells everybody."""

    auth_resource = "api"

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with the version."""
        await ensure_async(super().get())

    #: tornado leaves out the body.
    head = get


class MainKernelSpecHandler(GatewayHandler, StockMainHandler):  # type: ignore[misc, valid-type]
    """Lists the kernelspecs."""

    @web.authenticated
    @authorized
    async def get(self) -> None:
        """200 with every spec and the name of the default one."""
        # spark-env.sh runs meanwhile, and may take long.
        specs = await asyncio.to_thread(self._models)
        self.finish({"default": self.kernel_manager.default_kernel_name, "kernelspecs": specs})

    def _models(self) -> dict[str, Any]:
        manager, user = self.kernel_spec_manager, self.gateway_user
        found = {name: at for name, at in manager.get_all_specs().items() if manager.is_open_to(user, name)}
        return {name: kernelspec_model(self, name, at["spec"], at["resource_dir"]) for name, at in found.items()}


class KernelSpecHandler(GatewayHandler, StockSpecHandler):  # type: ignore[misc, valid-type]
    """Shows one kernelspec."""

    @web.authenticated
    @authorized
    async def get(self, kernel_name: str) -> None:
        """200 with its model; 404 when there is none of that name."""
        try:
            model = await asyncio.to_thread(self._model, url_unescape(kernel_name))
        except NoSuchKernel as error:
            raise web.HTTPError(404, f"Kernel spec {kernel_name} not found") from error
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(model))

    def _model(self, kernel_name: str) -> dict[str, Any]:
        manager = self.kernel_spec_manager
        if not manager.is_open_to(self.gateway_user, kernel_name):
            raise NoSuchKernel(kernel_name)
        resources = manager.get_kernel_spec(kernel_name).resource_dir
        return dict(kernelspec_model(self, kernel_name, manager.public_spec(kernel_name), resources))


class KernelSpecResourceHandler(GatewayHandler, StockResourceHandler):  # type: ignore[misc, valid-type]
    """Serves logos and the like. Not kernel.json, which holds the argv and env that the listing leaves out."""

    @web.authenticated
    @authorized
    async def get(self, kernel_name: str, path: str, include_body: bool = True) -> None:
        """200 with the file; 404 for one that the listing does not name, and for one that is not there."""
        resource = resource_name(path)
        if not self.kernel_spec_manager.is_open_to(self.gateway_user, url_unescape(kernel_name)):
            # As Jupyter Server says of one that is not there.
            raise web.HTTPError(404, f"Kernel spec {kernel_name} not found")
        stock_get: Any = super().get
        await stock_get(kernel_name, resource, include_body=include_body)


def resource_name(path: str) -> str:
    """Return the name of the file that `path` leads to in a spec's directory.

    Raises 404 unless the listing could name it.
    """
    name = posixpath.normpath(path)
    if "/" in name or "\0" in name or not any(fnmatchcase(name, pattern) for pattern in RESOURCES):
        raise web.HTTPError(404, "A kernelspec has no such resource.")
    return name
