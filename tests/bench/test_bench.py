"""What `make bench` says of values that were measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.plot import draw
from tests.bench.quantities import CannotMeasure, Samples, report, table


@pytest.fixture
def samples() -> Samples:
    """Return the values of three sides, of which rows compare two each."""
    measured = Samples()
    for quantity, stock, cold, warm in (("toree_ready", 10000, 7000, 200), ("toree_first", 20000, 16000, 3000)):
        for side, value in (("stock", stock), ("cold", cold), ("warm", warm)):
            measured.add(quantity, side, value)
    return measured


def test_rows_that_share_what_stock_took(samples: Samples) -> None:
    rows = [line.split("  ") for line in table(samples)]
    said = {row[0]: [cell.strip() for cell in row[1:] if cell.strip()] for row in rows}
    assert said["POST to a Toree ready, warm"] == ["10000 ms stock", "200 ms warm", "0.020", "0.025 x", "ok"]
    assert said["POST to its first answer of Spark, cold"] == [
        "20000 ms stock",
        "16000 ms cold",
        "0.80",
        "0.75 x",
        "over",
    ]
    assert report(samples)["toree_first_warm"]["medians"] == {"stock": 20000, "warm": 3000}


def test_a_side_that_was_not_measured_has_no_row(samples: Samples) -> None:
    del samples.values["toree_ready"]["warm"]
    assert "toree_ready_warm" not in report(samples) and "toree_ready_cold" in report(samples)


def test_the_plot_is_small_and_the_same_for_the_same_values(samples: Samples, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for name in ("one", "other"):
        draw(tmp_path / name, samples)
    one, other = ((tmp_path / name).read_text() for name in ("one", "other"))
    assert one == other and len(one) < 40_000 and "0.20 s" in one and "a kernel waits" in one


def test_no_plot_of_half_the_values(samples: Samples, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    del samples.values["toree_first"]
    with pytest.raises(CannotMeasure, match="the part warm"):
        draw(tmp_path / "plot", samples)
