"""The headroom: what is left on the workers for one more kernel beside all that leases reserve. Pure arithmetic.

A kernel registers its application when its user first touches Spark: in any order, and Spark breaks ties at random. So
it is not enough that the executors of all leases fit when they are placed one after another. They have to fit in every
order, and wherever the executors of the other leases are placed:

- Executors of one size (cores, memory) each take one slot of that size. With one size only, the answer is exact.
- An executor of another size takes at most max(ceil(cores/cores'), ceil(memory/memory')) slots from a worker. That is
  close for large executors. For small ones another bound is closer, which counts how much cores (or memory) it takes to
  lose slots one by one: for the first slot of a worker what is left over there plus one core (or MiB), for each further
  one a whole executor. The smaller loss of the two holds.
- Without `spark.executor.cores` an application spreads single cores, with one executor's memory on each worker that it
  uses. It loses the cores that others take, and all cores of a worker on which others leave too little memory.

Both bounds can only improve as applications register, so what was admitted stays admitted. They may refuse what would
fit, but never where all executors are of one size.

What is reserved and fits nowhere now, for an application that waits at the master, counts like all that is reserved: at
worst others take as many cores as it lacks. So nobody is admitted unless the free cores cover all that is reserved and
what it asks for, and 50 free cores are not blocked by an application that lacks 2.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..spark.cluster import ExecutorRequest, Room

_Shape = tuple[int, int]  # (cores, MiB) of an executor; 0 cores: single cores spread over workers


@dataclass(slots=True)
class _Demand:
    """All that leases reserve in one shape.

    `units` are executors, or cores if they are spread. `surplus` is how many units each of them can do without.
    `reach` is the most executors that may be made, `narrowest` the fewest of one request.
    """

    units: int = 0
    reach: int = 0
    surplus: int | None = None
    narrowest: int | None = None

    def plus(self, units: int, reach: int, surplus: int) -> _Demand:
        least = surplus if self.surplus is None else min(self.surplus, surplus)
        narrowest = reach if self.narrowest is None else min(self.narrowest, reach)
        return _Demand(self.units + units, self.reach + reach, least, narrowest)


class Headroom:
    """The free room of a cluster, and the requests that reserve some of it.

    `rooms` says how many workers have each free (cores, MiB); `reserved` are the requests of leases. 1,000 different
    rooms take about 1 ms for each shape of executor, and a request then some microseconds for each pair of shapes.
    """

    def __init__(self, rooms: Mapping[Room, int], reserved: Iterable[ExecutorRequest] = ()) -> None:
        self._rooms = {room: count for room, count in rooms.items() if room[0]}
        self._supplies: dict[_Shape, _Slots | _Cores] = {}
        self._demands: dict[_Shape, _Demand] = {}
        for request in reserved:
            self._demands |= self._with(request)
        self._safe = self._safe_units(self._demands)

    def take(self, request: ExecutorRequest) -> bool:
        """Reserve the request if all its units are safe then, and no other request has fewer safe ones than before.

        Returns whether it was reserved. A unit is safe that its application gets in whatever order all register.
        """
        shape = _shape(request)
        demands = self._demands | self._with(request)
        if demands[shape].units > self._supply(shape).units + (demands[shape].surplus or 0):
            return False
        safe = self._safe_units(demands)
        if safe[shape] < demands[shape].units or any(safe[each] < kept for each, kept in self._safe.items()):
            return False
        self._demands, self._safe = demands, safe
        return True

    def _with(self, request: ExecutorRequest) -> dict[_Shape, _Demand]:
        """Return the demand of the request's shape with the request in it."""
        shape = _shape(request)
        executors = min(request.rounds, request.breadth)
        units, surplus = (executors, 0) if shape[0] else (request.rounds, request.rounds - executors)
        reach = executors if shape[0] else min(executors, self._reach(request))
        return {shape: self._demands.get(shape, _Demand()).plus(units, reach, surplus)}

    def _reach(self, request: ExecutorRequest) -> int:
        """Return the executors that spread cores may need: one for each worker, if all cores fit at once.

        Where they don't, they are granted in several turns, and each core may need an executor of its own.
        """
        supply = self._supply(_shape(request))
        return supply.workers if isinstance(supply, _Cores) and supply.units >= request.rounds else request.rounds

    def _safe_units(self, demands: Mapping[_Shape, _Demand]) -> dict[_Shape, int]:
        """Return the units of each shape that are safe: as many as are reserved, or fewer."""
        return {
            shape: max(0, min(demand.units, demand.units + self._spare(shape, demands)))
            for shape, demand in demands.items()
        }

    def _spare(self, shape: _Shape, demands: Mapping[_Shape, _Demand]) -> int:
        """Return the units of this shape that are left over at worst. Below 0: so many may be lacking."""
        own, supply = demands[shape], self._supply(shape)
        if isinstance(supply, _Cores):
            cores = sum(each.units * (size or 1) for (size, _), each in demands.items())
            memory = sum(each.reach * memory for (_, memory), each in demands.items())
            cores -= own.surplus or 0
            return supply.units - cores - supply.stranded(memory - (own.narrowest or 0) * shape[1])
        others = [(other, demand) for other, demand in demands.items() if other != shape]
        left = supply.units - own.units
        loss = sum(_taken(shape, other, demand) for other, demand in others)
        if loss > left:  # the other bound takes longer to compute
            cores = sum(demand.units * (size or 1) for (size, _), demand in others)
            loss = min(loss, supply.lost_to(cores, sum(demand.reach * other[1] for other, demand in others)))
        return left - loss

    def _supply(self, shape: _Shape) -> _Slots | _Cores:
        if shape not in self._supplies:
            self._supplies[shape] = _Slots(self._rooms, shape) if shape[0] else _Cores(self._rooms, shape[1])
        return self._supplies[shape]


class _Slots:
    """How many executors of one shape fit, and how many of them others can take the room of."""

    def __init__(self, rooms: Mapping[Room, int], shape: _Shape) -> None:
        size, memory = shape
        self._shape = shape
        self._slots = [
            (cores, free, fit, count)
            for (cores, free), count in rooms.items()
            if (fit := min(cores // size, free // memory) if memory else cores // size)
        ]
        self.units = sum(fit * count for _, _, fit, count in self._slots)
        self._losses: tuple[_Losses, _Losses] | None = None

    def lost_to(self, cores: int, memory: int) -> int:
        """Return the slots that are lost at most when others take so many cores and so much memory, anywhere."""
        if self._losses is None:
            size, mib = self._shape
            self._losses = (
                _Losses(size, [(room - size * fit + 1, fit, count) for room, _, fit, count in self._slots if fit]),
                _Losses(
                    mib, [(room - mib * fit + 1, fit, count) for _, room, fit, count in self._slots if fit and mib]
                ),
            )
        return self._losses[0].at_most(cores) + self._losses[1].at_most(memory)


class _Cores:
    """How many single cores are free where `memory` MiB are, and how many of them others can make useless."""

    def __init__(self, rooms: Mapping[Room, int], memory: int) -> None:
        self._memory = memory
        self._usable = {room: count for room, count in rooms.items() if room[1] >= memory}
        self.units = sum(cores * count for (cores, _), count in self._usable.items())
        self.workers = sum(self._usable.values())
        self._losses: _Losses | None = None

    def stranded(self, memory: int) -> int:
        """Return the cores on workers that have too little memory left when others take `memory` MiB, anywhere."""
        if self._losses is None:
            usable = self._usable.items() if self._memory else ()
            self._losses = _Losses(0, [(free - self._memory + 1, cores, count) for (cores, free), count in usable])
        return self._losses.at_most(memory)


class _Losses:
    """How many units are lost when others take an amount of cores, or of memory, in the worst places.

    On a worker the first unit is lost when others take `first`, each further one with another `step`. `workers` are
    (first, units, how many workers are like this). The exact number is a knapsack problem; this is the least of three
    upper bounds, each of which can only fall as the amount does.
    """

    def __init__(self, step: int, workers: Sequence[tuple[int, int, int]]) -> None:
        self._step = step
        self._parts = _sums(part for worker in workers for part in _parts(step, *worker))
        self._firsts = _sums(sorted((first, 1) for first, _, count in workers for _ in range(count)))
        self._most = _sums(sorted(((1, units) for _, units, count in workers for _ in range(count)), reverse=True))
        self._easy = sum(count for first, _, count in workers if first <= step)

    def at_most(self, amount: int) -> int:
        """Return the units that are lost at most when others take `amount`."""
        workers = bisect.bisect_right(self._firsts[0], amount) - 1
        if not workers:
            return 0
        most = min(self._by_parts(amount), self._most[1][workers])
        begun = max(1, min(workers, self._easy))  # on one more worker the first unit takes more than a step on these
        left = amount - self._firsts[0][begun]
        return min(most, begun + left // self._step) if self._step else most

    def _by_parts(self, amount: int) -> int:
        """Return what is lost when the units that take least go first, and the last part of them in proportion."""
        amounts, units = self._parts
        last = bisect.bisect_right(amounts, amount) - 1
        if last == len(amounts) - 1:
            return units[last]
        more = (amount - amounts[last]) * (units[last + 1] - units[last]) // (amounts[last + 1] - amounts[last])
        return units[last] + more


def _parts(step: int, first: int, units: int, count: int) -> list[tuple[int, int]]:
    """Return (amount, units) for `count` equal workers: their first units, and all further ones.

    They are one part where the first unit takes more than a further one: those are not to be had without it.
    """
    if first > step:
        return [((first + (units - 1) * step) * count, units * count)]
    return [(first * count, count), (step * (units - 1) * count, (units - 1) * count)][: 1 + (units > 1)]


def _sums(parts: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return running sums of the amounts and the units of (amount, units), those with the least for a unit first."""
    amounts, units = [0], [0]
    for amount, lost in sorted(parts, key=lambda part: part[0] / part[1]):
        amounts.append(amounts[-1] + amount)
        units.append(units[-1] + lost)
    return amounts, units


def _shape(request: ExecutorRequest) -> _Shape:
    """Return the shape of the request's executors.

    One core is one executor of one core, whether or not `spark.executor.cores` is set.
    """
    spread = request.executor_cores is None and request.rounds > 1
    return 0 if spread else request.size, request.executor_memory_mib


def _taken(shape: _Shape, other: _Shape, demand: _Demand) -> int:
    """Return the slots of `shape` that a demand of another shape takes at most."""
    size, memory = other
    by_memory = -(-memory // shape[1]) if shape[1] else 0
    if size:
        return demand.units * max(-(-size // shape[0]), by_memory)
    cuts = min(demand.units, (demand.units + demand.reach * (shape[0] - 1)) // shape[0])
    return cuts if by_memory <= 1 else min(demand.units * by_memory, cuts + demand.reach * by_memory)
