"""What the gateway and `jupyter kg2at` make of the settings: ready objects, each at one place."""

from __future__ import annotations

import os
from dataclasses import fields
from logging import Logger
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from jupyter_core.paths import jupyter_path
from traitlets import List
from traitlets.config import Config
from traitlets.config.loader import DeferredConfigList, DeferredConfigString

from .admission.policy import AdmissionPolicy
from .admission.request import RequestBounds
from .errors import ConfigError
from .kernels.launch.fast_start import FastStarts
from .kernels.launch.launcher import Launcher
from .kernels.launch.plan import LaunchOptions
from .kernels.port_range import PortRange
from .kernels.warm_demand import WarmOptions
from .setting_types import PROFILE_USERS
from .settings import Settings
from .spark.conf import SparkConfReader
from .spark.idle_cores import IdleCores
from .spark.installation_finder import InstallationFinder
from .spark.master_options import MasterOptions
from .system.private_file import PrivateLog

if TYPE_CHECKING:
    from jupyter_events import EventLogger
    from traitlets.config import Application

    from .admission.clusters import Clusters
    from .admission.log import Log

ENV_PREFIX = "KG2AT_"
#: What people write for yes and no (YAML's words, and 1 and 0).
TRUTHS = {word: True for word in ("true", "yes", "on", "1", "t", "y")} | {
    word: False for word in ("false", "no", "off", "0", "f", "n")
}


def with_environment(config: Config, section: str) -> Config:
    """Return `config` with the KG2AT_* variables as defaults of `section`, as KG_* are for Kernel Gateway.

    KG2AT_SPARK_HOME sets `spark_home`, and so on; values are written as on the command line.
    """
    names = (name for name in Settings.class_trait_names(config=True) if name not in ("parent", "log", "config"))
    variables = {name: os.environ.get(ENV_PREFIX + name.upper()) for name in names}
    found = {name: _deferred(name, value) for name, value in variables.items() if value is not None}
    merged = Config({section: found})
    merged.merge(config)
    return merged


def _deferred(name: str, value: str) -> DeferredConfigString | DeferredConfigList:
    """Return `value` as traitlets takes it from the command line: of a list, the whole literal or the only item."""
    is_list = isinstance(Settings.class_traits(config=True)[name], List)
    return DeferredConfigList([value]) if is_list else DeferredConfigString(value)


def launcher_of(settings: Settings, log: Logger | None = None) -> Launcher:
    """Return what resolves the launches of a gateway with these settings; without its `log` it launches none."""
    return Launcher(
        reader=SparkConfReader(
            spark_home=settings.spark_home or None,
            conf_dir=settings.spark_conf_dir or None,
            overrides={key: str(value) for key, value in settings.spark_conf.items()},
            encoding=settings.spark_defaults_encoding or None,
            env_script_timeout=settings.spark_env_timeout,
        ),
        finder=InstallationFinder(
            spark_home=settings.spark_home or None,
            java_home=settings.java_home or None,
            toree_assembly=settings.toree_assembly or None,
            kernel_dirs=tuple(jupyter_path("kernels")),
        ),
        profiles={
            name: {key: str(value) for key, value in profile.items() if key != PROFILE_USERS}
            for name, profile in settings.profiles.items()
        },
        options=LaunchOptions(
            spark_context=settings.spark_context,
            toree_arguments=tuple(settings.toree_options),
            python=settings.python,
            niceness=settings.niceness,
            job_name=settings.job_name,
            fast_starts=FastStarts(_cache_dir(settings), log) if log is not None else None,
        ),
        bounds=RequestBounds(
            settings.max_cores_per_kernel,
            settings.max_executor_cores,
            settings.max_executor_memory,
            settings.max_driver_memory,
        ),
        idle_cores=IdleCores(settings.idle_cores_timeout, settings.idle_cached_cores_timeout),
    )


def profile_users_of(settings: Settings) -> dict[str, frozenset[str]]:
    """Return who may use which profile, of those that are not for all; ADMINS stands for the administrators."""
    users = {name: profile[PROFILE_USERS] for name, profile in settings.profiles.items() if PROFILE_USERS in profile}
    return {name: frozenset([each] if isinstance(each, str) else each) for name, each in users.items()}


def _cache_dir(settings: Settings) -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.join("~", ".cache")
    return Path(os.path.abspath(os.path.expanduser(settings.cache_dir or os.path.join(caches, "kg2at"))))


def admission_policy_of(settings: Settings, names_users: bool = False) -> AdmissionPolicy:
    """Return what these settings decide about admission: the fields are traits of the same names.

    `names_users`: the gateway tells its users apart, so that they may take turns.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(AdmissionPolicy)}
    usual = "fair" if names_users else "fifo"
    return AdmissionPolicy(**values | {"queue_order": settings.queue_order or usual})


def master_options_of(settings: Settings) -> MasterOptions:
    """Return how masters are asked under these settings."""
    return MasterOptions(
        urls=settings.master_url,
        timeout=settings.master_timeout,
        validate_cert=settings.master_validate_cert,
        ca_certs=settings.master_ca_certs,
        max_answer=settings.master_max_answer,
    )


def clusters_of(settings: Settings, log: Log, names_users: bool = False) -> Clusters:
    """Return what admits the kernels of a gateway with these settings; `names_users` as for the policy."""
    # Most commands ask no master, and tornado's HTTP client takes a quarter of their time to import.
    from .admission.clusters import Clusters

    return Clusters(admission_policy_of(settings, names_users), master_options_of(settings), log)


def event_logger_of(settings: Settings, app: Application) -> EventLogger:
    """Return what writes events: by the handlers that stand in the config file of `app`, and to `events_file`.

    Raises ConfigError when the file can't be opened.
    """
    # jupyter_events takes as long to import as the rest of a command.
    from jupyter_events import EventLogger

    logger = EventLogger(parent=app)
    if settings.events_file:
        try:
            handler = PrivateLog(os.path.abspath(os.path.expanduser(settings.events_file)))
        except OSError as error:
            raise ConfigError(f"events_file: no events can be written: {error}.") from error
        logger.handlers = logger.handlers or []
        logger.register_handler(handler)
    return logger


def port_range_of(settings: Settings) -> PortRange | None:
    """Return the ports for kernels' ZeroMQ sockets; None: any free ones."""
    return PortRange.parse(settings.kernel_ports) if settings.kernel_ports else None


def warm_options_of(settings: Settings) -> WarmOptions:
    """Return which kernels are to wait for users under these settings."""
    return WarmOptions(settings.warm_kernels, settings.warm_max_age, settings.warm_memory_reserve)


def normal_base_url(base_url: str) -> str:
    """Return `base_url` with a slash at both ends, as Jupyter Server has it (ServerApp.base_url).

    Characters that a URL's path may not have are percent-encoded, as the paths of requests are.
    """
    path = quote(base_url.strip("/"), safe="/%:@!$&'()*+,;=~")
    return f"/{path}/" if path else "/"


def truth(variable: str, default: bool) -> bool:
    """Return what the environment variable says of a yes-or-no setting; `default` when it is not set, or empty.

    Raises ConfigError for a value that is neither yes nor no.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        return default
    if value.lower() not in TRUTHS:
        words = ", ".join(word for word in TRUTHS if len(word) > 1)
        raise ConfigError(f"The environment variable {variable} is {value!r}. Set it to one of: {words}, 1, 0.")
    return TRUTHS[value.lower()]
