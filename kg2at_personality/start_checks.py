"""What keeps a gateway from starting, found before it serves anybody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from logging import Logger
from typing import Any, TypeVar

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from kernel_gateway.auth.identity import GatewayIdentityProvider
from kernel_gateway.services.kernels.manager import SeedingMappingKernelManager
from traitlets import HasTraits

from .errors import ConfigError, InstallationError, KG2ATError, WrongPlace
from .kernels.launch.launcher import Launcher
from .kernels.launch.runtimes import RUNTIMES
from .kernels.manager import GatewayKernelManager
from .kernels.offers import Offer, Offers
from .kernels.specs import SparkKernelSpecManager
from .spark.master_ui import master_urls
from .web.channels.connection import ChannelsConnection

T = TypeVar("T")
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


def check_identity(app: Any, users_file: str) -> None:
    """Raise ConfigError for a users file beside an identity provider that would not look at it."""
    chosen = type(app.identity_provider)
    if users_file and chosen is not GatewayIdentityProvider:
        raise ConfigError(
            f"users_file is {users_file}, and KernelGatewayApp.identity_provider_class is {chosen.__module__}."
            f"{chosen.__qualname__}: either says who is let in. Remove one of these settings."
        )


def check_defaults(settings: HasTraits) -> None:
    """Raise ConfigError for a variable that no default can be made of, before Kernel Gateway asks for it."""
    for name in settings.class_trait_names(config=True):
        getattr(settings, name)


def check_spark(offers: Offers, launcher: Launcher, master_url: str, log: Logger) -> None:
    """Look once at what can be started. Raises ConfigError for what would fail every kernel, and for a wrong setting.

    A kind of kernel that can't run is not offered; the log says why.
    """
    found = [offers.look(profile) for profile in ("", *launcher.profiles)]
    confs = [_or_raise(each.conf) for each in found]
    for conf in confs:
        master_urls(conf, master_url)
    for sentence in dict.fromkeys(sentence for conf in confs for sentence in conf.ignored):
        log.warning("%s", sentence)
    installation = _or_raise(found[0].installation)
    _check_kinds(found[0])
    warnings = [*installation.warnings, *(sentence for runtime in found[0].found for sentence in runtime.warnings)]
    for sentence in filter(None, [*warnings, launcher.idle_cores.problem(installation.spark.version)]):
        log.warning("%s", sentence)
    for level, sentence in dict.fromkeys(reason for each in found for reason in _reasons(each)):
        log.log(level, "%s", sentence)
    spark, products = installation.spark, ", ".join(" ".join(runtime.product) for runtime in found[0].found)
    log.info("Spark %s in %s, Java %s, %s", spark.version, spark.home, installation.java.version, products)


def _or_raise(found: T | KG2ATError) -> T:
    if isinstance(found, KG2ATError):
        raise found
    return found


def _check_kinds(offer: Offer) -> None:
    """Raise InstallationError where nothing can run kernels, and for what a person set and is wrong."""
    reasons = list(offer.missing.values())
    for wrong in (each for each in reasons if isinstance(each, WrongPlace)):
        raise wrong
    if not offer.found:
        raise InstallationError(" ".join(map(str, reasons)))


def _reasons(offer: Offer) -> Iterator[tuple[int, str]]:
    """Yield the level at which to tell, and why a kind of kernel is not offered: a warning for the default kind."""
    for kind, reason in offer.missing.items():
        level = logging.WARNING if kind is RUNTIMES[0] else logging.INFO
        yield level, f"{' and '.join(kind.interpreters)} kernels are not offered. {reason}"
