"""Points between two steps of a kernel's life, at which a test may end the gateway as kill -9 would."""

from __future__ import annotations

#: In the order in which a kernel comes to them; a restart passes "start: recorded" and "start: launched" too.
START = ("start: admitted", "start: recorded", "start: launched", "start: done")
#: Between "start: admitted" and "start: done".
HAND_OUT = ("hand-out: claimed", "hand-out: recorded", "hand-out: given", "hand-out: written")
RESTART = ("restart: recorded", "restart: asked", "restart: ended")
STOP = ("stop: recorded", "stop: asked", "stop: ended", "stop: cleaned", "stop: forgotten")


class Failpoints:
    """Does nothing at any point. A test hands another one to its gateway (KG2ATPersonality.failpoints)."""

    def reached(self, name: str) -> None:
        """Called between two steps, with one of the names above. No-op."""
