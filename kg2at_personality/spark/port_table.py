"""The ports of Spark, Toree and the gateway: which they are, who set them, which clash, what a firewall must let in.

Pure: what is free is asked elsewhere. The rules are those of Spark 2.0 to 3.5: MasterArguments, WorkerArguments and
HistoryServer let a property win over a variable, and a system property in SPARK_*_OPTS over both
(SparkClassCommandBuilder, SparkConf); drivers try `spark.port.maxRetries` more ports (Utils.startServiceOnPort).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ..errors import SparkConfError
from .conf import SparkConf
from .conf_dir import conf_dir_of
from .master_url import is_standalone, standalone_addresses
from .properties import port as parse_port
from .spark_env import SCRIPT

RETRIES = 16  # Utils.portMaxRetries
DEFAULT = "default"
HERE = ""


@dataclass(frozen=True)
class Port:
    """One row: what listens, where.

    `first` 0 is any free port, None none at all (switched off); `last` is the highest that may be taken when those
    before are in use. `default` None is any. `host` HERE is this machine, `where` says who set it, `how` how to set
    it. `used` is False for what this configuration has nothing to do with. `drivers`: each kernel takes one.
    """

    component: str
    name: str
    default: int | None
    first: int | None
    last: int
    where: str
    how: str
    host: str = HERE
    used: bool = True
    drivers: bool = False

    @property
    def text(self) -> str:
        """The port as a table shows it: `4040`, `4040-4056`, `random`, `off`."""
        if self.first is None:
            return "off"
        if not self.first:
            return "random"
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Given:
    """A port that somebody gave, and who."""

    port: int
    where: str


def table(
    conf: SparkConf, environ: Mapping[str, str], toree: Sequence[Given], gateway: Given, here: frozenset[str]
) -> list[Port]:
    """The rows: Spark's eight (nine when the driver's block manager has its own), Toree's five, the gateway's.

    `environ` is the environment before spark-env.sh, `toree` the bounds of `kernel_ports` or (), `here` the names and
    addresses of this machine among the masters' hosts. Raises SparkConfError for what is no port.
    """
    spark = _Spark(conf, environ)
    masters = [replace(port, host=HERE if port.host in here else port.host) for port in _masters(spark)]
    daemons = [*masters, *_workers(spark, all(port.host == HERE for port in masters)), _history(spark)]
    return [*_drivers(spark), *daemons, *_toree(toree), _gateway(gateway)]


def clashes(ports: Sequence[Port]) -> list[str]:
    """A sentence for each pair on the same machine that can't both have what they were given."""
    fixed = [port for port in ports if port.used and port.first and _counts(port)]
    pairs = [(one, other) for one, other in combinations(fixed, 2) if one.host == other.host]
    return [_clash(one, other) for one, other in pairs if _meet(one, other)]


def most_kernels(ports: Sequence[Port]) -> tuple[int, Port] | None:
    """How many kernels this machine can have at a time, and by which row; None: as many as there are ports."""
    bounds = [(port.last - port.first + 1, port) for port in ports if port.drivers and port.first]
    bounds += [
        ((port.last - port.first + 1) // 5, port)
        for port in ports
        if port.component == "Toree" and port.name == "shell_port" and port.first
    ]
    return min(bounds, key=lambda bound: bound[0], default=None)


@dataclass(frozen=True)
class Opening:
    """A line for a firewall: who connects to whom, on which ports, what for. `advice` for a port nobody can name."""

    source: str
    target: str
    ports: str
    purpose: str
    advice: str = ""


#: Row -> (who connects, to whom, what for).
_TRAFFIC = {
    "KernelGatewayApp": ("notebook clients", "this machine", "notebooks"),
    "Driver": ("workers", "this machine", "executors report to the driver"),
    "Block Manager": ("workers and this machine", "each other", "blocks of data"),
    "Block Manager (driver)": ("workers", "this machine", "blocks of data"),
    "Application WebUI": ("browsers", "this machine", "the page of a running application"),
    "Master": ("this machine and workers", "the master", "applications and workers register"),
    "Master WebUI": ("this machine and browsers", "the master", "kg2at counts free cores there"),
    "Worker": ("the master", "workers", "the master starts executors"),
    "Worker WebUI": ("browsers", "workers", "logs of executors"),
    "History Server WebUI": ("browsers", "the history server", "pages of past applications"),
}


def firewall(ports: Sequence[Port], loopback: bool) -> list[Opening]:
    """What must be let through. `loopback`: no other machine may reach the gateway anyway. Toree's stay inside."""
    rows = [port for port in ports if port.used and port.first is not None and port.name in _TRAFFIC]
    local = not any(port.name == "Master" and port.used for port in ports)
    inside = {"Driver", "Block Manager", "Block Manager (driver)"} if local else set()
    inside |= {"KernelGatewayApp"} if loopback else set()
    return [_opening(port) for port in rows if port.name not in inside]


def _opening(port: Port) -> Opening:
    source, target, purpose = _TRAFFIC[port.name]
    target = port.host if port.host != HERE and target == "the master" else target
    advice = "" if port.first else f"any port from 1024; set {port.how} to open one"
    return Opening(source, target, port.text if port.first else "1024-65535", purpose, advice)


# The rows.


@dataclass(frozen=True)
class _Spark:
    """Looks a port up where Spark does."""

    conf: SparkConf
    environ: Mapping[str, str]

    def port(self, key: str = "", variable: str = "", options: str = "") -> Given | None:
        """System property `key` in a variable `options`, property `key`, or `variable`; None when it is not set."""
        given = self._option(key, options) if options else None
        if given is None and key in self.conf:
            given = Given(self.parsed(key, self.conf[key]), self.conf.setting(key).where)
        if given is None and self.conf.environ.get(variable):
            given = Given(self.parsed(variable, self.conf.environ[variable]), self.origin(variable))
        return given

    def _option(self, key: str, options: str) -> Given | None:
        for variable in (options, "SPARK_DAEMON_JAVA_OPTS"):
            found = re.findall(rf"(?<!\S)-D{re.escape(key)}=(\S+)", self._words(variable)) if key else []
            if found:
                return Given(self.parsed(variable, found[-1]), self.origin(variable))
        return None

    def _words(self, variable: str) -> str:
        try:
            return " ".join(shlex.split(self.conf.environ.get(variable, "")))
        except ValueError:
            return ""

    def origin(self, variable: str) -> str:
        """Whether `variable` was in the environment, or spark-env.sh set it."""
        if self.environ.get(variable) == self.conf.environ.get(variable):
            return f"environment variable {variable}"
        return f"environment variable {variable}, set in {conf_dir_of(self.conf.environ)}/{SCRIPT}"

    def parsed(self, name: str, value: str) -> int:
        try:
            return parse_port(value)
        except ValueError as error:
            raise SparkConfError(name, f"it must be {error}, not {value!r}") from None

    @property
    def retries(self) -> int:
        return self.conf.integer("spark.port.maxRetries", RETRIES)

    @property
    def standalone(self) -> bool:
        return is_standalone(self.conf.master)


def _drivers(spark: _Spark) -> Iterator[Port]:
    """What each kernel opens on this machine, and its executors on theirs."""
    ui, off = spark.port("spark.ui.port"), not spark.conf.boolean("spark.ui.enabled", True)
    row = _driver(spark, "Application WebUI", 4040, ui, "spark.ui.port")
    yield replace(row, first=None, where=spark.conf.setting("spark.ui.enabled").where) if off else row
    blocks, own = spark.port("spark.blockManager.port"), spark.port("spark.driver.blockManager.port")
    yield _driver(spark, "Block Manager", None, blocks, "spark.blockManager.port")
    if own:
        yield _driver(spark, "Block Manager (driver)", None, own, "spark.driver.blockManager.port")
    yield _driver(spark, "Driver", None, spark.port("spark.driver.port"), "spark.driver.port")


def _driver(spark: _Spark, name: str, default: int | None, given: Given | None, how: str) -> Port:
    first = given.port if given else default or 0
    last = min(first + spark.retries, 65535) if first else 0
    return Port("Spark", name, default, first, last, given.where if given else DEFAULT, how, drivers=True)


def _history(spark: _Spark) -> Port:
    given = spark.port("spark.history.ui.port", options="SPARK_HISTORY_OPTS")
    used = given is not None or spark.conf.boolean("spark.eventLog.enabled", False)
    return _daemon("History Server WebUI", 18080, given, "spark.history.ui.port", HERE, used)


def _masters(spark: _Spark) -> Iterator[Port]:
    """One row for each master that `spark.master` names, else one for what a master here would take."""
    given = spark.port(variable="SPARK_MASTER_PORT")
    how = "SPARK_MASTER_PORT (and spark.master)"
    named = standalone_addresses(spark.conf.master)
    where = spark.conf.setting("spark.master").where
    for host, port in named:
        yield _daemon("Master", 7077, Given(port, where), how, host, True)
    if not named:
        yield _daemon("Master", 7077, given, how, HERE, False)
    ui = spark.port("spark.master.ui.port", "SPARK_MASTER_WEBUI_PORT", "SPARK_MASTER_OPTS")
    how = "spark.master.ui.port or SPARK_MASTER_WEBUI_PORT"
    for host in dict.fromkeys(host for host, _ in named) or [HERE]:
        yield _daemon("Master WebUI", 8080, ui, how, host, spark.standalone)


def _workers(spark: _Spark, here: bool) -> Iterator[Port]:
    """The workers' own. They are taken to run on this machine when the master does."""
    host = HERE if here else "workers"
    port = spark.port(variable="SPARK_WORKER_PORT")
    yield _daemon("Worker", None, port, "SPARK_WORKER_PORT", host, spark.standalone)
    ui = spark.port("spark.worker.ui.port", "SPARK_WORKER_WEBUI_PORT", "SPARK_WORKER_OPTS")
    how = "spark.worker.ui.port or SPARK_WORKER_WEBUI_PORT"
    yield _daemon("Worker WebUI", 8081, ui, how, host, spark.standalone)


def _daemon(name: str, default: int | None, given: Given | None, how: str, host: str, used: bool) -> Port:
    first = given.port if given else default or 0
    return Port("Spark", name, default, first, first, given.where if given else DEFAULT, how, host, used)


def _toree(bounds: Sequence[Given]) -> Iterator[Port]:
    first, last = (bounds[0].port, bounds[-1].port) if bounds else (0, 0)
    where = bounds[0].where if bounds else DEFAULT
    for name in ("stdin_port", "control_port", "hb_port", "shell_port", "iopub_port"):
        yield Port("Toree", name, None, first, last, where, "KG2ATPersonality.kernel_ports")


def _gateway(given: Given) -> Port:
    how = "KernelGatewayApp.port or KG_PORT"
    return Port("Kernel Gateway", "KernelGatewayApp", 8888, given.port, given.port, given.where, how)


def mismatch(conf: SparkConf, environ: Mapping[str, str]) -> str | None:
    """A sentence when SPARK_MASTER_PORT is not the port that `spark.master` goes to."""
    spark = _Spark(conf, environ)
    given = spark.port(variable="SPARK_MASTER_PORT")
    if not spark.standalone or not given or given.port in (port for _, port in standalone_addresses(conf.master)):
        return None
    where = conf.setting("spark.master").where
    return f"SPARK_MASTER_PORT is {given.port} ({given.where}), but spark.master is {conf.master} ({where})"


def _counts(port: Port) -> bool:
    """Toree's five share a range, and are counted as one."""
    return port.component != "Toree" or port.name == "shell_port"


def _meet(one: Port, other: Port) -> bool:
    """Two drivers' rows give way to each other."""
    if one.drivers and other.drivers:
        return one.first == other.first
    return (one.first or 0) <= other.last and (other.first or 0) <= one.last


def _clash(one: Port, other: Port) -> str:
    machine = "" if one.host == HERE else f" on {one.host}"
    remedy = f"change {one.how} or {other.how}"
    return f"{one.name} ({one.text}) and {other.name} ({other.text}) want the same port{machine}: {remedy}"


def hosts(conf: SparkConf) -> list[str]:
    """The masters' hosts, as `spark.master` names them; none for other masters."""
    return [host for host, _ in standalone_addresses(conf.master)]
