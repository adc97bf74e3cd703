"""What is offered: the kinds of kernels that can be started here, under each profile, as of the last look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import KG2ATError
from ..spark.conf import SparkConf
from ..spark.installation import Installation
from .launch.launcher import Launcher
from .launch.plan import Runtime
from .launch.runtimes import RUNTIMES


@dataclass(frozen=True)
class Offer:
    """What was found for one profile: its configuration, Spark and Java, and what runs each kind of kernel.

    In the place of what can't be used, or was not found, there is the error that says why.
    """

    conf: SparkConf | KG2ATError
    installation: Installation | KG2ATError
    runtimes: Mapping[type[Runtime], Runtime | KG2ATError]

    @property
    def found(self) -> list[Runtime]:
        """Return what can run kernels, the default kind first."""
        return [each for each in self.runtimes.values() if isinstance(each, Runtime)]

    @property
    def missing(self) -> dict[type[Runtime], KG2ATError]:
        """Return the kinds of kernels that can't run, and why."""
        return {kind: each for kind, each in self.runtimes.items() if isinstance(each, KG2ATError)}


class Offers:
    """Looks at what `launcher` can start. While nothing can be, what could be before is offered, and says why."""

    def __init__(self, launcher: Launcher) -> None:
        self._launcher = launcher
        self._kinds: dict[str, frozenset[type[Runtime]]] = {}

    def look(self, profile: str) -> Offer:
        """Return what there is now for `profile` ("" for none). Blocking: reads Spark's files, runs spark-env.sh."""
        found = self._look(profile)
        kinds = frozenset(type(each) for each in found.found)
        self._kinds[profile] = kinds or self._kinds.get(profile) or frozenset(RUNTIMES[:1])
        return found

    def includes(self, kind: type[Runtime], profile: str) -> bool:
        """Return whether such kernels are offered, as of the last look. Blocking when there was none."""
        if profile not in self._kinds:
            self.look(profile)
        return kind in self._kinds[profile]

    def _look(self, profile: str) -> Offer:
        try:
            conf = self._launcher.conf(profile)
        except KG2ATError as error:
            return Offer(error, error, dict.fromkeys(RUNTIMES, error))
        try:
            installation = self._launcher.finder.find(conf.environ)
        except KG2ATError as error:
            return Offer(conf, error, dict.fromkeys(RUNTIMES, error))
        return Offer(conf, installation, self._launcher.runtimes(conf, installation))
