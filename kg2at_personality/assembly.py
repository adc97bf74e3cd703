"""What the gateway and `jupyter kg2at` make of the same settings."""

from __future__ import annotations

import ipaddress
import os
from urllib.parse import quote

from jupyter_core.paths import jupyter_path
from traitlets import List
from traitlets.config import Config
from traitlets.config.loader import DeferredConfigList, DeferredConfigString

from .admission.clusters import Clusters
from .admission.log import Log
from .admission.policy import AdmissionPolicy
from .admission.request import RequestBounds
from .errors import ConfigError
from .kernels.toree import ToreeLauncher, ToreeOptions
from .settings import Settings
from .spark.conf import SparkConfReader
from .spark.installation import InstallationFinder
from .spark.master import MasterOptions

ENV_PREFIX = "KG2AT_"
#: What people write for yes and no (YAML's words, and 1 and 0).
TRUTHS = {word: True for word in ("true", "yes", "on", "1", "t", "y")} | {
    word: False for word in ("false", "no", "off", "0", "f", "n")
}


def with_environment(config: Config, section: str) -> Config:
    """`config` with the KG2AT_* variables as defaults of `section`, as KG_* are for Kernel Gateway.

    KG2AT_SPARK_HOME sets `spark_home`, and so on; values are written as on the command line.
    """
    names = (name for name in Settings.class_trait_names(config=True) if name not in ("parent", "log", "config"))
    variables = {name: os.environ.get(ENV_PREFIX + name.upper()) for name in names}
    found = {name: _deferred(name, value) for name, value in variables.items() if value is not None}
    merged = Config({section: found})
    merged.merge(config)
    return merged


def _deferred(name: str, value: str) -> DeferredConfigString | DeferredConfigList:
    """`value` as traitlets takes what is on the command line: a list's whole literal, or its only item."""
    is_list = isinstance(Settings.class_traits(config=True)[name], List)
    return DeferredConfigList([value]) if is_list else DeferredConfigString(value)


def launcher_of(settings: Settings) -> ToreeLauncher:
    """What resolves the launches of a gateway with these settings."""
    return ToreeLauncher(
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
            name: {key: str(value) for key, value in profile.items()} for name, profile in settings.profiles.items()
        },
        options=ToreeOptions(
            settings.spark_context, tuple(settings.toree_options), settings.niceness, settings.job_name
        ),
        bounds=RequestBounds(
            settings.max_cores_per_kernel,
            settings.max_executor_cores,
            settings.max_executor_memory,
            settings.max_driver_memory,
        ),
    )


def clusters_of(settings: Settings, log: Log) -> Clusters:
    """Return what admits the kernels of a gateway with these settings."""
    policy = AdmissionPolicy(
        core_check=settings.core_check,
        core_wait_timeout=settings.core_wait_timeout,
        core_poll_interval=settings.core_poll_interval,
        core_requirement=settings.core_requirement,
        max_queue=settings.max_queue,
        max_cores_per_user=settings.max_cores_per_user,
        master_unreachable=settings.master_unreachable,
    )
    return Clusters(policy, master_options_of(settings), log)


def master_options_of(settings: Settings) -> MasterOptions:
    """Return how these settings have the masters asked."""
    return MasterOptions(
        urls=settings.master_url,
        timeout=settings.master_timeout,
        validate_cert=settings.master_validate_cert,
        ca_certs=settings.master_ca_certs,
        max_answer=settings.master_max_answer,
    )


def normal_base_url(base_url: str) -> str:
    """`base_url` as it is used everywhere: with a slash at both ends, as Jupyter Server has it (ServerApp.base_url).

    What can't stand in a URL's path is encoded, as the requests' paths are.
    """
    path = quote(base_url.strip("/"), safe="/%:@!$&'()*+,;=~")
    return f"/{path}/" if path else "/"


def truth(variable: str, default: bool) -> bool:
    """What the environment variable says of a yes-or-no setting; `default` when it is not set, or empty.

    Raises ConfigError for what is neither.
    """
    value = os.environ.get(variable, "").strip()
    if not value:
        return default
    if value.lower() not in TRUTHS:
        words = ", ".join(word for word in TRUTHS if len(word) > 1)
        raise ConfigError(f"The environment variable {variable} is {value!r}. Set it to one of: {words}, 1, 0.")
    return TRUTHS[value.lower()]


def is_loopback(ip: str) -> bool:
    """Whether only this machine reaches a server that listens on `ip`."""
    if ip == "localhost":
        return True
    try:
        return ipaddress.ip_address(ip).is_loopback
    except ValueError:
        return False
