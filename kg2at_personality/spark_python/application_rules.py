"""What holds for every application of the kernel, whoever makes it: its name, and the size it was admitted with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIZES = ("spark.cores.max", "spark.executor.cores", "spark.executor.memory", "spark.executor.instances")
_ELASTIC = "spark.dynamicAllocation."


class ApplicationRules:
    """The rules of the kernel with this id, which was admitted with these properties."""

    def __init__(self, kernel_id: str, admitted: Mapping[str, str]) -> None:
        self.kernel_id, self.admitted = kernel_id, admitted

    def name(self, wanted: str) -> str:
        """Return the application's name with the kernel's id, by which the gateway knows it at the master."""
        return wanted if not self.kernel_id or self.kernel_id in wanted else f"{wanted} {self.kernel_id}"

    def is_elsewhere(self, values: Mapping[str, str]) -> bool:
        """Return whether these properties name another master than the kernel's."""
        master = self.admitted.get("spark.master")
        return master is not None and values.get("spark.master", master) != master

    def changes(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return those of the properties that ask for another size than was admitted; none at another master."""
        if "spark.master" not in self.admitted or self.is_elsewhere(values):
            return {}
        return {key: value for key, value in values.items() if _is_size(key) and value != self.admitted.get(key)}

    def for_launch(self, values: Mapping[str, str]) -> dict[str, str]:
        """Return what of a user's properties the JVM is launched with."""
        refused = self.changes(values)
        return {key: value for key, value in values.items() if key not in refused}

    def apply(self, jconf: Any) -> list[str]:
        """Put the rules into the SparkConf of the JVM, and return a sentence for each that changes something."""
        # One answer of the JVM instead of three for each property. What is secret is not in it.
        values = dict(line.partition("=")[::2] for line in jconf.toDebugString().splitlines())
        jconf.set("spark.app.name", self.name(jconf.get("spark.app.name", "")))
        if self.is_elsewhere(values):
            theirs, ours = values["spark.master"], self.admitted["spark.master"]
            return [f"This session runs on {theirs}, not on the kernel's {ours}."]
        changes = self.changes(values)
        for key in changes:
            if key in self.admitted:
                jconf.set(key, self.admitted[key])
            else:
                jconf.remove(key)
        return [self._kept(changes)] if changes else []

    def _kept(self, changes: Mapping[str, str]) -> str:
        kept = [f"{key} stays {self.admitted.get(key, 'unset')}, not {value}" for key, value in sorted(changes.items())]
        return (
            f"{'; '.join(kept)}: a kernel keeps the size it was started with. For another size start a kernel"
            " of another profile, or with other KERNEL_SPARK_* variables."
        )


def _is_size(key: str) -> bool:
    return key in _SIZES or key.startswith(_ELASTIC)
