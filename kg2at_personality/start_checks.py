"""What keeps a gateway from starting, found before it serves anybody."""

from __future__ import annotations

from collections.abc import Iterable
from logging import Logger
from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import HasTraits

from .errors import ConfigError
from .kernels.launch.launcher import Launcher
from .kernels.launch.plan import Runtime
from .kernels.manager import GatewayKernelManager
from .kernels.specs import SparkKernelSpecManager
from .spark.master_ui import master_urls
from .web.channels.connection import ChannelsConnection

#: KernelGatewayApp's traits for classes that kg2at replaces: the stock one, and kg2at's.
CLASSES: dict[str, tuple[type, type]] = {
    "kernel_manager_class": (SeedingMappingKernelManager, GatewayKernelManager),
    "kernel_spec_manager_class": (KernelSpecManager, SparkKernelSpecManager),
    "kernel_websocket_connection_class": (ZMQChannelsWebsocketConnection, ChannelsConnection),
}


def check_classes(app: Any) -> None:
    """Raise ConfigError for classes of KernelGatewayApp that would bypass kg2at's."""
    for name, (stock, ours) in CLASSES.items():
        chosen = getattr(app, name)
        if chosen is not stock and not issubclass(chosen, ours):
            raise ConfigError(
                f"KernelGatewayApp.{name} is {chosen.__module__}.{chosen.__qualname__}, but kg2at brings its own. "
                f"Remove that setting, or derive the class from {ours.__module__}.{ours.__qualname__}."
            )


def check_defaults(settings: HasTraits) -> None:
    """Raise ConfigError for a variable that no default can be made of, before Kernel Gateway asks for it."""
    for name in settings.class_trait_names(config=True):
        getattr(settings, name)


def check_spark(launcher: Launcher, profiles: Iterable[str], master_url: str, log: Logger) -> None:
    """Read Spark's configuration once. Raises ConfigError for what would fail every kernel."""
    confs = [launcher.conf(profile) for profile in ("", *profiles)]
    for conf in confs:
        master_urls(conf, master_url)
    for sentence in dict.fromkeys(sentence for conf in confs for sentence in conf.ignored):
        log.warning("%s", sentence)
    found, runtimes = launcher.finder.find(confs[0].environ), launcher.runtimes(confs[0])
    there = [runtime for runtime in runtimes.values() if isinstance(runtime, Runtime)]
    missing = [error for error in runtimes.values() if isinstance(error, ConfigError)]
    if not there:
        raise missing[0]
    warnings = [*found.warnings, *(sentence for runtime in there for sentence in runtime.warnings)]
    for sentence in filter(None, [*warnings, launcher.idle_cores.problem(found.spark.version), *map(str, missing)]):
        log.warning("%s", sentence)
    spark, products = found.spark, ", ".join(" ".join(runtime.product) for runtime in there)
    log.info("Spark %s in %s, Java %s, %s", spark.version, spark.home, found.java.version, products)
