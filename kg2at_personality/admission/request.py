"""The request: what a kernel asks of the cluster, and what of it its client may set (`KERNEL_SPARK_*` in its `env`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import OutOfBounds, RequestError
from ..spark.cluster import AppIdentity, ExecutorRequest
from ..spark.conf import SparkConf
from ..spark.master_url import is_standalone
from ..spark.units import MIB, parse_size
from ..spark.values import SPARK_MIB

SOURCE = "the request"

#: The names a client may send, with the Spark property each one sets.
CORES = {
    "KERNEL_SPARK_CORES_MAX": "spark.cores.max",
    "KERNEL_SPARK_EXECUTOR_CORES": "spark.executor.cores",
}
MEMORY = {
    "KERNEL_SPARK_EXECUTOR_MEMORY": "spark.executor.memory",
    "KERNEL_SPARK_DRIVER_MEMORY": "spark.driver.memory",
}
#: What an application without spark.cores.max may take: every core (Spark's spark.deploy.defaultCores).
UNLIMITED = 2**31 - 1


@dataclass(frozen=True)
class AdmissionRequest:
    """One kernel's request for its cores.

    `user` is "" when unknown: all such kernels count as one user's. `max_cores` is the most that all kernels of the
    user may hold together, 0 for no bound; None: the policy's. `executors` None: the kernel takes no cores of a
    standalone master. `patience` is in seconds from now until the client itself gives up. `application` tells which
    applications at the master are the kernel's; None: those whose names end with its id, for a kernel that was launched
    by a kg2at which wrote down no more.
    """

    kernel_id: str
    kernel_name: str
    user: str
    executors: ExecutorRequest | None
    patience: float | None = None
    application: AppIdentity | None = None
    max_cores: int | None = None


@dataclass(frozen=True)
class RequestBounds:
    """The most a client may ask for: cores as counts, memory as Spark sizes ("4g"). 0 or "" sets no bound."""

    cores: int = 0
    executor_cores: int = 0
    executor_memory: str = ""
    driver_memory: str = ""

    def of(self, key: str) -> tuple[str, int | str]:
        """Return the trait that bounds the Spark property `key`, and its value."""
        bounds: dict[str, tuple[str, int | str]] = {
            "spark.cores.max": ("max_cores_per_kernel", self.cores),
            "spark.executor.cores": ("max_executor_cores", self.executor_cores),
            "spark.executor.memory": ("max_executor_memory", self.executor_memory),
            "spark.driver.memory": ("max_driver_memory", self.driver_memory),
        }
        return bounds[key]


def requested_properties(env: Mapping[str, str], bounds: RequestBounds) -> dict[str, str]:
    """Return the Spark properties that `env` asks for.

    Raises RequestError for a value that is no count or size and OutOfBounds for one above its bound. A bound holds
    for what the client asks, not for what the administrator configured.
    """
    asked = {key: _cores(name, env[name], *bounds.of(key)) for name, key in CORES.items() if name in env}
    asked |= {key: _memory(name, env[name], *bounds.of(key)) for name, key in MEMORY.items() if name in env}
    return asked


def _cores(name: str, text: str, trait: str, bound: int | str) -> str:
    text = text.strip()
    digits = text.lstrip("0") if text.isascii() and text.isdigit() else ""
    if not digits or len(digits) > len(str(UNLIMITED)) or int(digits) > UNLIMITED:
        raise RequestError(f"{name} must be a whole number of cores, from 1 to {UNLIMITED}, not {text[:40]!r}.")
    if bound and int(digits) > int(bound):
        raise OutOfBounds(
            f"{name}={digits} is above the {bound} cores that this gateway allows ({trait}). Ask for less."
        )
    return digits


def _memory(name: str, text: str, trait: str, bound: int | str) -> str:
    try:
        size = parse_size(text)
    except ValueError as error:
        raise RequestError(f"{name}: {error}") from error
    if size < SPARK_MIB * MIB:
        raise RequestError(f"{name} must be at least {SPARK_MIB}m, which Spark needs, not {text.strip()!r}.")
    if bound and size > parse_size(str(bound)):
        raise OutOfBounds(
            f"{name}={text.strip()} is above the {bound} that this gateway allows ({trait}). Ask for less."
        )
    return f"{size // MIB}m"


def executors_of(conf: SparkConf) -> ExecutorRequest | None:
    """Return what an application of this configuration asks a standalone master for; None on any other master."""
    if not is_standalone(conf.master):
        return None
    initial = None
    if conf.boolean("spark.dynamicAllocation.enabled", False):
        # Utils.getDynamicAllocationInitialExecutors
        initial = max(
            conf.integer("spark.dynamicAllocation.minExecutors", 0),
            conf.integer("spark.dynamicAllocation.initialExecutors", 0),
            conf.integer("spark.executor.instances", 0),
        )
    return ExecutorRequest(
        cores_max=conf.integer("spark.cores.max", UNLIMITED),
        executor_cores=conf.integer("spark.executor.cores", 0) or None,
        executor_memory_mib=conf.memory_mib("spark.executor.memory", 1024),
        initial_executors=initial,
    )


def patience_of(env: Mapping[str, str]) -> float | None:
    """Return the seconds until the client gives up; None: unknown.

    KERNEL_LAUNCH_TIMEOUT tells, as clients of a gateway send it (GatewayClient of jupyter_server).
    """
    try:
        patience = float(env.get("KERNEL_LAUNCH_TIMEOUT", ""))
    except ValueError:
        return None
    return patience if 0 < patience < UNLIMITED else None
