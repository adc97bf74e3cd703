"""The ports of Spark, the kernels and the gateway: which they are and who set them. Pure: no port is tried.

Drivers try `spark.port.maxRetries` more ports when one is in use (`Utils.startServiceOnPort`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from .conf import SparkConf
from .master_url import standalone_addresses
from .port_lookup import Given, PortLookup

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


def table(
    conf: SparkConf, environ: Mapping[str, str], toree: Sequence[Given], gateway: Given, here: frozenset[str]
) -> list[Port]:
    """Return the rows: Spark's eight (nine when the driver's block manager has its own), a kernel's five, a gateway's.

    `environ` is the environment before spark-env.sh, `toree` the bounds of `kernel_ports` or (), `here` the names and
    addresses of this machine among the masters' hosts. Raises SparkConfError for what is no port.
    """
    spark = PortLookup(conf, environ)
    masters = [replace(port, host=HERE if port.host in here else port.host) for port in _masters(spark)]
    daemons = [*masters, *_workers(spark, all(port.host == HERE for port in masters)), _history(spark)]
    return [*_drivers(spark), *daemons, *_toree(toree), _gateway(gateway)]


def _drivers(spark: PortLookup) -> Iterator[Port]:
    """Yield what each kernel opens on this machine, and its executors on theirs."""
    ui, off = spark.port("spark.ui.port"), not spark.conf.boolean("spark.ui.enabled", True)
    row = _driver(spark, "Application WebUI", 4040, ui, "spark.ui.port")
    yield replace(row, first=None, where=spark.conf.entry("spark.ui.enabled").where) if off else row
    blocks, own = spark.port("spark.blockManager.port"), spark.port("spark.driver.blockManager.port")
    yield _driver(spark, "Block Manager", None, blocks, "spark.blockManager.port")
    if own:
        yield _driver(spark, "Block Manager (driver)", None, own, "spark.driver.blockManager.port")
    yield _driver(spark, "Driver", None, spark.port("spark.driver.port"), "spark.driver.port")


def _driver(spark: PortLookup, name: str, default: int | None, given: Given | None, how: str) -> Port:
    first = given.port if given else default or 0
    last = min(first + spark.retries, 65535) if first else 0
    return Port("Spark", name, default, first, last, given.where if given else DEFAULT, how, drivers=True)


def _history(spark: PortLookup) -> Port:
    given = spark.port("spark.history.ui.port", options="SPARK_HISTORY_OPTS")
    used = given is not None or spark.conf.boolean("spark.eventLog.enabled", False)
    return _daemon("History Server WebUI", 18080, given, "spark.history.ui.port", HERE, used)


def _masters(spark: PortLookup) -> Iterator[Port]:
    """Yield a row for each master that `spark.master` names, else one for a master on this machine."""
    given = spark.port(variable="SPARK_MASTER_PORT")
    how = "SPARK_MASTER_PORT (and spark.master)"
    named = standalone_addresses(spark.conf.master)
    where = spark.conf.entry("spark.master").where
    for host, port in named:
        yield _daemon("Master", 7077, Given(port, where), how, host, True)
    if not named:
        yield _daemon("Master", 7077, given, how, HERE, False)
    ui = spark.port("spark.master.ui.port", "SPARK_MASTER_WEBUI_PORT", "SPARK_MASTER_OPTS")
    how = "spark.master.ui.port or SPARK_MASTER_WEBUI_PORT"
    for host in dict.fromkeys(host for host, _ in named) or [HERE]:
        yield _daemon("Master WebUI", 8080, ui, how, host, spark.standalone)


def _workers(spark: PortLookup, here: bool) -> Iterator[Port]:
    """Yield the rows of the workers, which are assumed to run on this machine if the masters do."""
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
        yield Port("Kernel", name, None, first, last, where, "KG2ATPersonality.kernel_ports")


def _gateway(given: Given) -> Port:
    how = "KernelGatewayApp.port or KG_PORT"
    return Port("Kernel Gateway", "KernelGatewayApp", 8888, given.port, given.port, given.where, how)
