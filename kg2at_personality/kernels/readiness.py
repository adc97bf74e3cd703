"""Whether kernels can start now, for whoever probes the gateway's health: one look for all who ask."""

from __future__ import annotations

import asyncio
from logging import Logger

from ..admission.clusters import Clusters
from ..errors import KG2ATError, MasterUnreachable, SparkConfError
from ..spark.cluster import ALIVE
from .offers import Offers
from .timing import Timing

# What is said to anybody: no names, no addresses. The log has the rest.
BEGINNING = "The gateway has just begun, and still takes over the kernels of the one before."
ENDING = "The gateway is about to end."
NOT_KNOWN = "The gateway has not yet found out whether Spark and its master can be used."
CONFIGURATION = "Spark's configuration can't be used."
INSTALLATION = "No Spark and Java that work together are found."
RUNTIMES = "Neither Toree nor a Python for PySpark is found."
MASTER = "No Spark master answers that is in charge of its cluster."
RECOVERING = "The Spark master is still recovering."
FAILED = "The gateway could not find out whether Spark and its master can be used."


class Readiness:
    """What keeps kernels without a profile from starting. Not ready before `open`, and after `close`.

    Spark's files are read in a thread, and the master is asked, at most every `timing.ready_look` seconds.
    """

    def __init__(self, offers: Offers | None, clusters: Clusters, timing: Timing, log: Logger) -> None:
        """`offers` None: the gateway offers no kernels of its own, which alone need Spark."""
        self._offers, self._clusters, self._timing, self._log = offers, clusters, timing, log
        self._stage, self._found = BEGINNING, NOT_KNOWN
        self._look: asyncio.Task[None] | None = None
        self._due = 0.0  # by the loop's clock

    def open(self) -> None:
        """Be ready as far as Spark and its master are. Called when kernels can be started."""
        self._stage = ""

    async def close(self) -> None:
        """Be ready no more. Called when the gateway is about to end; idempotent."""
        self._stage = ENDING
        if self._look is not None:
            self._look.cancel()
            await asyncio.gather(self._look, return_exceptions=True)

    async def problem(self) -> str:
        """Return what keeps kernels from starting, in a sentence; "" when nothing does.

        Waits `timing.ready_patience` seconds at most: a look that takes longer tells those who ask next. Whoever
        cancels disturbs nobody else.
        """
        if self._stage or self._offers is None:
            return self._stage
        if self._look is None or (self._look.done() and self._now() >= self._due):
            self._look = asyncio.create_task(self._look_at(self._offers))
        await asyncio.wait([self._look], timeout=self._timing.ready_patience)
        return self._stage or self._found

    async def _look_at(self, offers: Offers) -> None:
        """Find out, and log what has changed."""
        why: object = ""
        try:
            found, why = await self._find(offers)
        except Exception:
            self._log.exception("Whether kernels can start could not be found out")
            found = FAILED
        if found and found != self._found:
            self._log.warning("Not ready. %s %s", found, why)
        elif not found and self._found not in ("", NOT_KNOWN):
            self._log.info("Ready again")
        self._found, self._due = found, self._now() + self._timing.ready_look

    async def _find(self, offers: Offers) -> tuple[str, object]:
        """Return what `problem` does, and what the log is told besides."""
        offer = await asyncio.to_thread(offers.look, "")
        if isinstance(offer.conf, KG2ATError):
            return CONFIGURATION, offer.conf
        if isinstance(offer.installation, KG2ATError):
            return INSTALLATION, offer.installation
        if not offer.found:
            return RUNTIMES, " ".join(map(str, offer.missing.values()))
        try:
            state = await self._clusters.ask(offer.conf)
        except SparkConfError as error:
            return CONFIGURATION, error
        except MasterUnreachable as error:
            return MASTER, error
        return ("", "") if state is None or state.status == ALIVE else (RECOVERING, state.url)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
