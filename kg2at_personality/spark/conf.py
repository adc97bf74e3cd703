"""Spark's configuration as a kernel will see it: the sources, their precedence, and where each value comes from.

From low to high: spark-defaults.conf, the environment after spark-env.sh, the trait `KG2ATPersonality.spark_conf`, and
the layers that callers add with `overlay` (a profile, the request). All are read again at each kernel start.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ..errors import InstallationError, SparkConfError
from .conf_dir import conf_dir_of, with_conf_dir
from .installation_finder import InstallationFinder
from .master_url import standalone_addresses
from .master_variables import master_from, unused
from .properties import Property, as_read, converted, trimmed
from .redaction import DEFAULT_REGEX, REDACTION_KEY, Redactor
from .spark_defaults import NAME, Defaults, read_defaults
from .spark_env import SCRIPT, VARIABLES, assigned_at, load_spark_env
from .spark_opts import SparkOpts, parse_spark_opts
from .values import CHECKS, memory, seconds, truth, whole

T = TypeVar("T")
TRAIT = "KG2ATPersonality.spark_conf"


@dataclass(frozen=True, eq=False, repr=False)  # equal as a Mapping is; a repr would hold secrets
class SparkConf(Mapping[str, str]):
    """The properties in force, by key. Immutable; every value has passed its check.

    `environ` is the environment after spark-env.sh, with SPARK_HOME and SPARK_CONF_DIR filled in as far as they are
    known; `encoding` the codec spark-defaults.conf was read with; `ignored` has a sentence for each thing left out.
    """

    entries: Mapping[str, Property]
    environ: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "utf-8"
    ignored: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check the values in force, not the overridden ones. Raises SparkConfError for the first bad one."""
        # The redaction regex goes first: the messages about all others need it.
        for key in [REDACTION_KEY, *CHECKS]:
            if key in self.entries:
                converted(self.entries[key], CHECKS[key], self.redactor)
        for entry in self.entries.values():
            _check_text(entry)

    def __getitem__(self, key: str) -> str:
        return self.entries[key].value

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def entry(self, key: str) -> Property:
        """Return the value of `key` with its origin. Raises KeyError if it is unset."""
        return self.entries[key]

    def overlay(self, source: str, values: Mapping[str, str]) -> SparkConf:
        """Return this conf with `values` on top, each with what it overrode.

        `source` is how messages name their origin: "profile large", "the request". Keys that don't start with `spark.`
        are ignored, as spark-submit does. Raises SparkConfError naming `source` for a value Spark couldn't use.
        """
        layer, ignored = _layer(source, values)
        entries = _resolved(_merged(self.entries, layer), self.environ)
        return replace(self, entries=entries, ignored=self.ignored + ignored)

    def integer(self, key: str, default: int) -> int:
        """Return the whole number of `key`, else `default`. Raises SparkConfError."""
        return self._value(key, whole(), default)

    def memory_mib(self, key: str, default: int) -> int:
        """Return the size of `key` in MiB (a bare number is MiB), else `default`. Raises SparkConfError."""
        return self._value(key, memory, default)

    def seconds(self, key: str, default: float) -> float:
        """Return the time of `key` in seconds (a bare number is seconds), else `default`. Raises SparkConfError."""
        return self._value(key, seconds, default)

    def boolean(self, key: str, default: bool) -> bool:
        """Return the truth of `key` (`true` or `false`), else `default`. Raises SparkConfError."""
        return self._value(key, truth, default)

    @property
    def master(self) -> str:
        """The master's URL: `spark://HOST:PORT[,HOST:PORT...]`, `local[*]`, ..."""
        return self["spark.master"]

    @property
    def master_hosts(self) -> list[str]:
        """The hosts of the standalone masters in `spark.master`; [] for other masters."""
        return [host for host, _ in standalone_addresses(self.master)]

    def redactor(self) -> Redactor:
        """Return a redactor by this conf's `spark.redaction.regex` that masks this conf's secrets."""
        return Redactor(self.get(REDACTION_KEY, DEFAULT_REGEX), self)

    def _value(self, key: str, parse: Callable[[str], T], default: T) -> T:
        return converted(self.entries[key], parse, self.redactor) if key in self.entries else default


def _check_text(entry: Property) -> None:
    """Raise SparkConfError for text that can't be written to the kernel's properties file."""
    try:
        (entry.key + entry.value).encode()
    except UnicodeEncodeError:
        # Half a \\u surrogate pair, or a byte of the environment that is none of its encoding.
        raise SparkConfError(entry.where, "an entry holds characters that UTF-8 can't write") from None


def _merged(entries: Mapping[str, Property], *layers: Iterable[Property]) -> dict[str, Property]:
    """Return `entries` with the layers on top: a later layer wins, and within a layer a later duplicate."""
    merged = dict(entries)
    for layer in layers:
        for entry in layer:
            merged[entry.key] = replace(entry, overrode=merged.get(entry.key))
    return merged


def _resolved(entries: Mapping[str, Property], environ: Mapping[str, str]) -> dict[str, Property]:
    """Return `entries` with the references resolved in what kg2at checks, where Spark does. Raises SparkConfError."""
    values = {key: entry.value for key, entry in entries.items()}
    return {key: as_read(entry, environ, values) for key, entry in entries.items()}


def _choose_master(
    entries: dict[str, Property], before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[str, ...]:
    """Set `spark.master` from the environment if nothing else does. Return a sentence for each variable left unused."""

    def origin(name: str) -> str:
        return _origin(name, before, after)

    version = _spark_version(after) if after.get("SPARK_MASTER_IP") else ""
    if "spark.master" not in entries:
        entries["spark.master"] = master_from(after, origin, version)
    return tuple(unused(after, entries["spark.master"], origin, version))


def _spark_version(environ: Mapping[str, str]) -> str:
    """Return Spark's version, "" when it can't be told: the start of a kernel fails then, and says why."""
    try:
        return InstallationFinder().spark(environ).version
    except InstallationError:
        return ""


def _layer(source: str, values: Mapping[str, str]) -> tuple[list[Property], tuple[str, ...]]:
    return _for_spark(Property(key, trimmed(value), source) for key, value in values.items())


def _for_spark(entries: Iterable[Property]) -> tuple[list[Property], tuple[str, ...]]:
    """Return the entries whose keys start with `spark.`, and a sentence for each other one.

    spark-submit drops the others too (SparkSubmitArguments.ignoreNonSparkProperties).
    """
    kept: list[Property] = []
    ignored: list[str] = []
    for entry in entries:
        if entry.key.startswith("spark."):
            kept.append(entry)
        else:
            ignored.append(f"{entry.where}: {entry.key!r} is ignored, since it does not start with 'spark.'")
    return kept, tuple(ignored)


@dataclass(frozen=True)
class SparkConfReader:
    """Reads the configuration. `spark_home` is used where the environment has no SPARK_HOME.

    `conf_dir` wins over $SPARK_CONF_DIR, which wins over $SPARK_HOME/conf. `overrides` are the trait's properties.
    `encoding` forces the codec of spark-defaults.conf, None detects it. `env_script_timeout` bounds spark-env.sh, in
    seconds: every kernel start waits for it.
    """

    spark_home: str | None = None
    conf_dir: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    env_script_timeout: float = 10.0

    def read(self, environ: Mapping[str, str]) -> SparkConf:
        """Return the configuration of a kernel started from `environ`, which is not changed.

        Called at each kernel start and by the start-up checks. Blocks for some disk reads and, when there is a
        spark-env.sh, for its run; callers use a thread. Raises SparkConfError for what the administrator has to mend.
        """
        before = with_conf_dir(environ, self.spark_home, self.conf_dir)
        after = self._after_script(before)
        defaults = self._defaults(after)
        from_file, ignored_keys = _for_spark(defaults.entries)
        from_environment, ignored_opts = _from_environment(before, after)
        from_trait, ignored_overrides = _layer(TRAIT, self.overrides)
        entries = _merged({}, from_file, from_environment, from_trait)
        ignored = ignored_keys + ignored_opts + ignored_overrides + _choose_master(entries, before, after)
        return SparkConf(_resolved(entries, after), after, defaults.encoding, ignored)

    def _after_script(self, environ: dict[str, str]) -> dict[str, str]:
        conf_dir = conf_dir_of(environ)
        return load_spark_env(environ, conf_dir, self.env_script_timeout) if conf_dir else environ

    def _defaults(self, environ: Mapping[str, str]) -> Defaults:
        # spark-env.sh may have set SPARK_CONF_DIR, and spark-submit follows that.
        conf_dir = conf_dir_of(environ)
        return read_defaults(os.path.join(conf_dir, NAME), self.encoding) if conf_dir else Defaults()


def _from_environment(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[list[Property], tuple[str, ...]]:
    """Return what the variables set, lowest first: those that spark-env.sh changed, those in force, SPARK_OPTS.

    The second part has a sentence for each option that is ignored.
    """
    variables = [name for name in VARIABLES if after.get(name)]
    replaced = [name for name in variables if before.get(name) and before[name] != after[name]]
    entries = [Property(VARIABLES[name], trimmed(before[name]), _origin(name, before, before)) for name in replaced]
    entries += [Property(VARIABLES[name], trimmed(after[name]), _origin(name, before, after)) for name in variables]
    origin = _origin("SPARK_OPTS", before, after)
    opts = parse_spark_opts(after["SPARK_OPTS"], origin) if after.get("SPARK_OPTS") else SparkOpts({})
    submitted, ignored = _layer(origin, opts.values)
    return entries + submitted, opts.ignored + ignored


def _origin(name: str, before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return how a message names the variable, with the script if its value comes from there."""
    origin = f"environment variable {name}"
    if after.get(name) == before.get(name):
        return origin
    script = os.path.join(conf_dir_of(before), SCRIPT)
    line = assigned_at(script, name)
    return f"{origin}, set in {script}" + (f", line {line}" if line else "")
