"""kill -9 of the gateway at each step of a hand-out, with the fake Toree; tests/e2e/test_nothing_lost.py has others."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kg2at_personality.state import failpoints
from tests.e2e.survival import DYING, Ward
from tests.fakes.gateway_process import Gateway
from tests.fakes.toree import FakeSpark
from tests.kernels.warm_scene import NAME

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def ward(spark: FakeSpark) -> Iterator[Ward]:
    own = {name: value for name, value in spark.environ.items() if not name.startswith("JUPYTER_")}
    environ = DYING["environ"] | own | {"KG2AT_WARM_MEMORY_RESERVE": "0"}
    with Gateway(spark.root / "gateway", **DYING | {"environ": environ}) as running:
        yield Ward(running)
    assert Ward(running).files() == [] and spark.living() == []


@pytest.mark.parametrize("point", failpoints.HAND_OUT)
def test_killed_in_a_hand_out(ward: Ward, spark: FakeSpark, point: str) -> None:
    ward.dies_in_hand_out(point, NAME)
    kept = set(ward.kernels()) if point == "hand-out: written" else set()
    for kernel_id in kept:
        assert "mine" in ward.run(kernel_id, "import os; print(os.environ['KERNEL_MARK'])")
        assert ward.gateway.delete(kernel_id) == 204
    ward.is_well()
    assert ward.kernels() == {} and len(kept) == (point == "hand-out: written")
    # One kernel; it is launched once more when others took its ports.
    assert len({launch["env"]["KERNEL_ID"] for launch in spark.launches()}) == 1
