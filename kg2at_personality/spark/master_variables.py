"""The master that the environment names when no source sets `spark.master`, and the variables about it left unused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from ..errors import SparkConfError
from .master_url import PORT, is_host, without_wrapping
from .properties import Property, trimmed
from .values import port

Origin = Callable[[str], str]

#: Spark's own (SparkSubmitArguments.loadEnvironmentArguments).
OWN = "MASTER"
#: Of a master's own host; the second until Spark 4 (MasterArguments).
HOSTS = ("SPARK_MASTER_HOST", "SPARK_MASTER_IP")
#: Not read by Spark; people and container images set them.
FOREIGN = ("SPARK_MASTER", "SPARK_MASTER_URL", "SPARK_MASTER_URI")


def variable(name: str) -> str:
    """Return how a message names a variable whose origin is not known."""
    return f"environment variable {name}"


def master_from(environ: Mapping[str, str], origin: Origin = variable, version: str = "") -> Property:
    """Return `spark.master` for when nothing sets it: $MASTER, else the master of other variables, else `local[*]`.

    SPARK_LOCAL_IP is the address of this machine and the master's only together with SPARK_MASTER_PORT. `origin` tells
    where a variable was set, `version` is Spark's ("" unknown). Raises SparkConfError for a port without any host, one
    that isn't a number, or what is no host.
    """
    if environ.get(OWN):
        return Property("spark.master", trimmed(environ[OWN]), origin(OWN))
    number = environ.get("SPARK_MASTER_PORT")
    names = [*_hosts(version), *(["SPARK_LOCAL_IP"] if number else [])]
    host = next((name for name in names if environ.get(name)), None)
    if host is None and number:
        problem = "it names a port and no host: set SPARK_MASTER_HOST as well, or spark.master"
        raise SparkConfError(origin("SPARK_MASTER_PORT"), problem)
    if host is None:
        return Property("spark.master", "local[*]", "kg2at's default")
    source = f"{host} and SPARK_MASTER_PORT" if number else host
    url = f"spark://{_host(environ[host], origin(host))}:{_port(number or str(PORT), origin('SPARK_MASTER_PORT'))}"
    return Property("spark.master", url, source)


def unused(environ: Mapping[str, str], chosen: Property, origin: Origin = variable, version: str = "") -> Iterator[str]:
    """Yield a sentence for each variable that names another master than `chosen` and is not used."""
    master = f"kernels use {chosen.value} ({chosen.where})"
    for name in (OWN, *FOREIGN):
        if _other(trimmed(environ.get(name, "")), chosen):
            why = "spark.master wins" if name == OWN else "it is none of Spark's; Spark reads MASTER and spark.master"
            yield f"{origin(name)} is not used: {why}; {master}"
    for name in HOSTS:
        if environ.get(name) and f"//{environ[name]}:" not in chosen.value and f",{environ[name]}:" not in chosen.value:
            known = name in _hosts(version)
            why = "another setting wins" if known else "Spark 4 and later read SPARK_MASTER_HOST"
            yield f"{origin(name)} is not used: {why}; {master}"
    number = trimmed(environ.get("SPARK_MASTER_PORT", ""))
    if number and not any(address.endswith(f":{number}") for address in chosen.value.split(",")):
        yield f"{origin('SPARK_MASTER_PORT')} is not used: another setting wins; {master}"


def _other(value: str, chosen: Property) -> bool:
    return bool(value) and value != chosen.value


def _hosts(version: str) -> tuple[str, ...]:
    major = version.partition(".")[0]
    return HOSTS[:1] if major.isdigit() and int(major) >= 4 else HOSTS


def _host(text: str, where: str) -> str:
    bare = trimmed(text)
    if is_host(bare):
        return bare
    likely = without_wrapping(text).rpartition("://")[2].partition("/")[0].partition(":")[0]
    write = f" (write {likely}, and its port as SPARK_MASTER_PORT)" if is_host(likely) else ""
    raise SparkConfError(where, f"it must be the name or the address of a host, not {text!r}{write}")


def _port(number: str, where: str) -> int:
    try:
        return port(number)
    except ValueError:
        # Kubernetes and Docker links set SPARK_MASTER_PORT=tcp://... for a service called spark-master.
        problem = "it must be a port number (Kubernetes sets a URL for a service called spark-master; set spark.master)"
        raise SparkConfError(where, problem) from None
