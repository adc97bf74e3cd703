"""Resolves launches from the files and the environment as they are now."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from ...admission.request import SOURCE as REQUEST
from ...admission.request import RequestBounds, requested_properties
from ...errors import InstallationError, KG2ATError
from ...spark.conf import SparkConf, SparkConfReader
from ...spark.conflicts import check_together
from ...spark.idle_cores import IdleCores
from ...spark.installation import Installation
from ...spark.installation_finder import InstallationFinder
from ...spark.master_url import is_standalone
from .plan import LaunchOptions, Plan, Runtime
from .runtimes import RUNTIMES, runtime_of


@dataclass(frozen=True)
class Launcher:
    """Plans the launches of all kinds of kernels."""

    reader: SparkConfReader = field(default_factory=SparkConfReader)
    finder: InstallationFinder = field(default_factory=InstallationFinder)
    profiles: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    options: LaunchOptions = field(default_factory=LaunchOptions)
    bounds: RequestBounds = field(default_factory=RequestBounds)
    idle_cores: IdleCores = field(default_factory=IdleCores)

    def conf(self, profile: str = "", env: Mapping[str, str] | None = None) -> SparkConf:
        """Return Spark's configuration for `profile` ("" for none) and a client's `env`. Blocking: reads files.

        Raises SparkConfError for a broken file or value and RequestError for a bad request.
        """
        conf = self.reader.read(os.environ)
        if profile:
            conf = conf.overlay(f"profile {profile}", self.profiles[profile])
        conf = conf.overlay(REQUEST, requested_properties(env or {}, self.bounds))
        check_together(conf)
        return _with_cores(conf)

    def plan(self, interpreter: str, profile: str = "", env: Mapping[str, str] | None = None) -> Plan:
        """Return all that one launch needs. Blocking. Raises ConfigError and RequestError."""
        kind = runtime_of(interpreter)
        if kind is None:
            raise InstallationError(f"Nothing here runs notebooks in {interpreter!r}.")
        conf = self.conf(profile, env)
        found, reader = self.finder.find(conf.environ), self.reader
        runtime = kind.find(self.finder, found, conf, self.options)
        if self.options.spark_context != "none":
            conf = self.idle_cores.applied(conf, found.spark.version)
        conf_dir, timeout = reader.conf_dir or "", reader.env_script_timeout
        return Plan(conf, found, runtime, interpreter, self.options, conf_dir, timeout)

    def runtimes(self, conf: SparkConf, installation: Installation) -> dict[type[Runtime], Runtime | KG2ATError]:
        """Return each kind of kernel with what was found to run it, or why there is none. Blocking."""
        found: dict[type[Runtime], Runtime | KG2ATError] = {}
        for kind in RUNTIMES:
            try:
                found[kind] = kind.find(self.finder, installation, conf, self.options)
            except InstallationError as error:
                found[kind] = error
        return found


def _with_cores(conf: SparkConf) -> SparkConf:
    """Cap an uncapped application on a standalone master, which would take every core (Spark's spark.cores.max)."""
    if not is_standalone(conf.master) or "spark.cores.max" in conf:
        return conf
    if conf.boolean("spark.dynamicAllocation.enabled", False):
        return conf
    cores = conf.get("spark.executor.cores", "1")
    return conf.overlay("kg2at's default", {"spark.cores.max": cores})
