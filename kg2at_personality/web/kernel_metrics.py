"""What Prometheus is told of kernels and of the cluster, in numbers: no user, no kernel id and no free text.

Each gateway has a registry of its own. Every label value is there from the start, as in JupyterHub (metrics.py), so
that a rate is 0 before the first event, and not unknown.
"""

from __future__ import annotations

import math
from collections import Counter as Counts
from collections.abc import Iterable, Iterator
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ..admission.master_view import ANSWERED, MALFORMED, UNREACHABLE
from ..kernels.journal import CULLED, GATEWAY, USER, CoreWaitResult, Died, Entry, StartResult, Stopped
from ..kernels.manager import GatewayKernelManager
from ..kernels.outcomes import ALL, STARTED
from ..kernels.waiting_kernel import CLAIMED, READY, STARTING, WARMING
from .cluster_shares import CORES, SHARES, shares

#: Seconds; those of JupyterHub's server_spawn_duration_seconds up to 120.
BUCKETS = (0.5, 1, 2.5, 5, 10, 15, 30, 60, 120)
#: The kernelspec of a start that names none of those that there are.
OTHER = "other"
KINDS = tuple(dict.fromkeys(outcome.kind for outcome in ALL))
ADMITTED = "admitted"
WAIT_KINDS = tuple(ADMITTED if kind == STARTED.kind else kind for kind in KINDS)
DIED_BY_ITSELF = "died"
HOWS = (USER, CULLED, GATEWAY, DIED_BY_ITSELF)
WAITING, DEAD = "waiting", "dead"
KERNEL_STATES = ("starting", "idle", "busy", WAITING, DEAD, OTHER)
WARM_STATES = (STARTING, WARMING, READY, CLAIMED)
POLLS = (ANSWERED, UNREACHABLE, MALFORMED)


class KernelMetrics:
    """Counts what the journal tells, and looks at the rest when it is asked."""

    def __init__(self, manager: GatewayKernelManager) -> None:
        self._manager = manager
        self._registry = registry = prometheus_client.CollectorRegistry()
        self._starts = prometheus_client.Counter(
            "kg2at_kernel_starts",
            "Starts of kernels that users asked for, by what came of them",
            ["kernel", "outcome", "reason"],
            registry=registry,
        )
        self._durations = prometheus_client.Histogram(
            "kg2at_kernel_start_duration_seconds",
            "Time from a request for a kernel to the kernel's first answer, or to what came instead",
            ["outcome", "warm"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._waits = prometheus_client.Histogram(
            "kg2at_core_wait_seconds",
            "Time that starts of kernels waited for cores",
            ["outcome"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._stops = prometheus_client.Counter(
            "kg2at_kernel_stops", "Ends of kernels that had been started", ["how"], registry=registry
        )
        registry.register(_Now(manager))
        self._names = {*manager.kernel_spec_manager.own, OTHER}
        self._preset()

    def _preset(self) -> None:
        for name in self._names:
            self._preset_name(name)
        for kind in KINDS:
            for warm in ("true", "false"):
                self._durations.labels(kind, warm)
        for kind in WAIT_KINDS:
            self._waits.labels(kind)
        for how in HOWS:
            self._stops.labels(how)

    def _preset_name(self, name: str) -> None:
        for outcome in ALL:
            self._starts.labels(name, *outcome)

    def collect(self) -> Iterator[Metric]:
        """Return all of it, without the times at which each series began: they would be as many again."""
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family

    def hear(self, entry: Entry) -> None:
        """Called by the journal with each entry."""
        if isinstance(entry, StartResult):
            self._starts.labels(self._name(entry), *entry.outcome).inc()
            self._durations.labels(entry.outcome.kind, str(entry.is_warm).lower()).observe(entry.seconds)
        elif isinstance(entry, CoreWaitResult):
            kind = ADMITTED if entry.outcome == STARTED else entry.outcome.kind
            self._waits.labels(kind).observe(entry.seconds)
        elif isinstance(entry, Died) and not entry.at_start:
            self._stops.labels(DIED_BY_ITSELF).inc()
        elif isinstance(entry, Stopped) and entry.had_lived:
            self._stops.labels(entry.how).inc()

    def _name(self, entry: StartResult) -> str:
        """Return the kernelspec of a start: one of kg2at's, one that has started, else OTHER."""
        name = entry.kernel.kernel_name
        if name not in self._names and entry.outcome == STARTED:
            # Installed by the administrator, as nothing else starts.
            self._names.add(name)
            self._preset_name(name)
        return name if name in self._names else OTHER


class _Now(Collector):
    """What there is at this moment, from memory."""

    def __init__(self, manager: GatewayKernelManager) -> None:
        self._manager = manager

    def collect(self) -> Iterator[Metric]:
        """Called for each answer."""
        clusters = self._manager.clusters.status()
        queue = [row["kernel_id"] for each in clusters for row in each["queue"]]
        yield _gauge("kg2at_cores", "Cores of the cluster, in the master's last answer", _cores(clusters), SHARES)
        age = min((each["cluster"]["age_s"] for each in _answered(clusters)), default=math.nan)
        yield GaugeMetricFamily("kg2at_cores_age_seconds", "Age of the master's last answer", value=age)
        length = "Kernels that wait for cores, their starts and their applications"
        yield GaugeMetricFamily("kg2at_queue_length", length, value=len(queue))
        yield _gauge("kg2at_kernels", "Kernels of users", self._kernels({*queue}), KERNEL_STATES)
        warm = Counts(row["state"] for row in self._manager.warm_pool.status()["kernels"])
        yield _gauge("kg2at_warm_kernels", "Kernels that wait for users", warm, WARM_STATES)
        zombies = "Kernels that can't be ended"
        yield GaugeMetricFamily("kg2at_zombies", zombies, value=len(self._manager.zombies))
        yield self._polls()

    def _kernels(self, queue: set[str]) -> Counts[str]:
        listed = {kernel.kernel_id: str(kernel.execution_state) for kernel in self._manager.kernels()}
        starting = dict.fromkeys(self._manager.starts.ids - listed.keys(), "starting")
        states = starting | listed | {each: WAITING for each in queue if listed.get(each) != DEAD}
        return Counts(state if state in KERNEL_STATES else OTHER for state in states.values())

    def _polls(self) -> Metric:
        counts, text = self._manager.clusters.polls(), "Requests to Spark masters for their state"
        family = CounterMetricFamily("kg2at_master_polls", text, labels=["outcome"])
        for outcome in POLLS:
            family.add_metric([outcome], counts[outcome])
        return family


def _answered(clusters: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in clusters if each["cluster"]["cores_total"] is not None]


def _cores(clusters: Iterable[dict[str, Any]]) -> dict[str, float]:
    """Return all cores by whose they are; NaN before the first answer."""
    parted = [shares(each["cluster"], CORES) for each in _answered(clusters)]
    return {share: sum(each[share] for each in parted) if parted else math.nan for share in SHARES}


def _gauge(name: str, text: str, values: dict[str, float] | Counts[str], states: Iterable[str]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=["state"])
    for state in states:
        family.add_metric([state], values.get(state, 0))
    return family
