"""What is left for one more application after all promises, whatever order they are called in. Pure arithmetic.

A kernel registers its application when its user first touches Spark: in any order, and Spark breaks ties at random.
So it does not do to place the promises one after another. Here all others are an adversary who may put their executors
on any worker at all, and what is promised must still fit:

- Executors of one size (cores, memory) each take one slot of that size; with one size only, the answer is exact.
- An executor of another size costs a worker at most max(ceil(cores/cores'), ceil(memory/memory')) slots. That is
  tight for big executors. For small ones the better bound is what it costs to spoil slots one by one: the first on a
  worker costs what is left over there plus one core (or MiB), each other one a whole executor. The smaller loss holds.
- Without `spark.executor.cores` an application spreads single cores, with one executor's memory on each worker it
  touches. It loses the cores that others take, and all cores of a worker whose memory others leave too small.

Both bounds can only improve as promises are kept, so what was admitted stays admitted. They may refuse what would fit;
never where one size alone is promised.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..spark.cluster import ExecutorRequest, Room

_Shape = tuple[int, int]  # (cores, MiB) of an executor; 0 cores: single cores spread over workers


@dataclass(slots=True)
class _Demand:
    """All promises of one shape.

    `units` are executors, or cores if they are spread; `surplus` is what the most modest of them can do without;
    `reach` is the most executors that may be made, `narrowest` the fewest of one promise.
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
    """Free rooms of a cluster, and the promises made on them.

    `rooms` says how many workers have each free (cores, MiB). 1,000 different rooms cost about 1 ms for each shape
    of executor, and a request then some microseconds for each pair of shapes.
    """

    def __init__(self, rooms: Mapping[Room, int], promised: Iterable[ExecutorRequest] = ()) -> None:
        self._rooms = {room: count for room, count in rooms.items() if room[0]}
        self._supplies: dict[_Shape, _Slots | _Cores] = {}
        self._demands: dict[_Shape, _Demand] = {}
        for request in promised:
            self._demands |= self._with(request)
        self._safe = self._kept(self._demands)

    def take(self, request: ExecutorRequest) -> bool:
        """Promise the request, if it is then safe, and no earlier promise is less safe than before."""
        shape = _shape(request)
        demands = self._demands | self._with(request)
        if demands[shape].units > self._supply(shape).units + (demands[shape].surplus or 0):
            return False
        safe = self._kept(demands)
        if safe[shape] < demands[shape].units or any(safe[each] < kept for each, kept in self._safe.items()):
            return False
        self._demands, self._safe = demands, safe
        return True

    def _with(self, request: ExecutorRequest) -> dict[_Shape, _Demand]:
        """The demand of the request's shape with the request in it."""
        shape = _shape(request)
        executors = min(request.rounds, request.breadth)
        units, surplus = (executors, 0) if shape[0] else (request.rounds, request.rounds - executors)
        reach = executors if shape[0] else min(executors, self._reach(request))
        return {shape: self._demands.get(shape, _Demand()).plus(units, reach, surplus)}

    def _reach(self, request: ExecutorRequest) -> int:
        """Workers that spread cores may touch at once. Where they don't all fit they may come in several turns."""
        supply = self._supply(_shape(request))
        return supply.workers if isinstance(supply, _Cores) and supply.units >= request.rounds else request.rounds

    def _kept(self, demands: Mapping[_Shape, _Demand]) -> dict[_Shape, int]:
        """Units of each shape that are safe: as many as were promised, or fewer."""
        return {
            shape: max(0, min(demand.units, demand.units + self._spare(shape, demands)))
            for shape, demand in demands.items()
        }

    def _spare(self, shape: _Shape, demands: Mapping[_Shape, _Demand]) -> int:
        """Units of this shape that nobody wants, at worst. Below 0: so many that may be lacking."""
        own, supply = demands[shape], self._supply(shape)
        if isinstance(supply, _Cores):
            cores = sum(each.units * (size or 1) for (size, _), each in demands.items())
            memory = sum(each.reach * memory for (_, memory), each in demands.items())
            cores -= own.surplus or 0
            return supply.units - cores - supply.stranded(memory - (own.narrowest or 0) * shape[1])
        others = [(other, demand) for other, demand in demands.items() if other != shape]
        left = supply.units - own.units
        loss = sum(_cost(shape, other, demand) for other, demand in others)
        if loss > left:  # the better bound is dear to compute
            cores = sum(demand.units * (size or 1) for (size, _), demand in others)
            loss = min(loss, supply.spoilt(cores, sum(demand.reach * other[1] for other, demand in others)))
        return left - loss

    def _supply(self, shape: _Shape) -> _Slots | _Cores:
        if shape not in self._supplies:
            self._supplies[shape] = _Slots(self._rooms, shape) if shape[0] else _Cores(self._rooms, shape[1])
        return self._supplies[shape]


class _Slots:
    """How many executors of one shape fit, and what it costs to spoil that."""

    def __init__(self, rooms: Mapping[Room, int], shape: _Shape) -> None:
        size, memory = shape
        self._shape = shape
        self._slots = [
            (cores, free, fit, count)
            for (cores, free), count in rooms.items()
            if (fit := min(cores // size, free // memory) if memory else cores // size)
        ]
        self.units = sum(fit * count for _, _, fit, count in self._slots)
        self._prices: tuple[_Prices, _Prices] | None = None

    def spoilt(self, cores: int, memory: int) -> int:
        """Slots that so many cores and so much memory, in the worst places, can cost at most."""
        if self._prices is None:
            size, mib = self._shape
            self._prices = (
                _Prices(size, [(room - size * fit + 1, fit, count) for room, _, fit, count in self._slots if fit]),
                _Prices(
                    mib, [(room - mib * fit + 1, fit, count) for _, room, fit, count in self._slots if fit and mib]
                ),
            )
        return self._prices[0].buy(cores) + self._prices[1].buy(memory)


class _Cores:
    """How many single cores are free where `memory` MiB are, and what it costs to spoil that."""

    def __init__(self, rooms: Mapping[Room, int], memory: int) -> None:
        self._memory = memory
        self._usable = {room: count for room, count in rooms.items() if room[1] >= memory}
        self.units = sum(cores * count for (cores, _), count in self._usable.items())
        self.workers = sum(self._usable.values())
        self._prices: _Prices | None = None

    def stranded(self, memory: int) -> int:
        """Cores on workers that others' `memory` MiB, in the worst places, leave too little memory."""
        if self._prices is None:
            usable = self._usable.items() if self._memory else ()
            self._prices = _Prices(0, [(free - self._memory + 1, cores, count) for (cores, free), count in usable])
        return self._prices.buy(memory)


class _Prices:
    """What it costs an adversary to spoil units: `first` for the first one on a worker, `step` for each other there.

    Made from (first, units, how many workers like this). `buy` never says less than the best buy. Finding that one
    is a knapsack; this is the least of three bounds, each of which can only fall as the budget is spent.
    """

    def __init__(self, step: int, offers: Sequence[tuple[int, int, int]]) -> None:
        self._step = step
        self._bulk = _sums(part for offer in offers for part in _bulk(step, *offer))
        self._firsts = _sums(sorted((first, 1) for first, _, count in offers for _ in range(count)))
        self._most = _sums(sorted(((1, units) for _, units, count in offers for _ in range(count)), reverse=True))
        self._cheap = sum(count for first, _, count in offers if first <= step)

    def buy(self, budget: int) -> int:
        """Units that the budget spoils at most."""
        workers = bisect.bisect_right(self._firsts[0], budget) - 1
        if not workers:
            return 0
        most = min(self._parts(budget), self._most[1][workers])
        opened = max(1, min(workers, self._cheap))  # one more would cost more than a step where it is open already
        left = budget - self._firsts[0][opened]
        return min(most, opened + left // self._step) if self._step else most

    def _parts(self, budget: int) -> int:
        """The cheapest units first, at the price they have in bulk; the last purchase may be a part."""
        costs, units = self._bulk
        last = bisect.bisect_right(costs, budget) - 1
        if last == len(costs) - 1:
            return units[last]
        more = (budget - costs[last]) * (units[last + 1] - units[last]) // (costs[last + 1] - costs[last])
        return units[last] + more


def _bulk(step: int, first: int, units: int, count: int) -> list[tuple[int, int]]:
    """(cost, units) of purchases. A dear first one is sold with all that follow it: none is cheaper than its way."""
    if first > step:
        return [((first + (units - 1) * step) * count, units * count)]
    return [(first * count, count), (step * (units - 1) * count, (units - 1) * count)][: 1 + (units > 1)]


def _sums(offers: Iterable[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Running sums of costs and units, cheapest first."""
    costs, units = [0], [0]
    for cost, gain in sorted(offers, key=lambda offer: offer[0] / offer[1]):
        costs.append(costs[-1] + cost)
        units.append(units[-1] + gain)
    return costs, units


def _shape(request: ExecutorRequest) -> _Shape:
    """One core is one executor of one core, whether or not `spark.executor.cores` is set."""
    spread = request.executor_cores is None and request.rounds > 1
    return 0 if spread else request.size, request.executor_memory_mib


def _cost(shape: _Shape, other: _Shape, demand: _Demand) -> int:
    """Slots of `shape` that a demand of another shape costs at most."""
    size, memory = other
    by_memory = -(-memory // shape[1]) if shape[1] else 0
    if size:
        return demand.units * max(-(-size // shape[0]), by_memory)
    cuts = min(demand.units, (demand.units + demand.reach * (shape[0] - 1)) // shape[0])
    return cuts if by_memory <= 1 else min(demand.units * by_memory, cuts + demand.reach * by_memory)
