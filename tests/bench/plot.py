"""How soon a Toree answers, as bars: stock, kg2at that starts one, kg2at that has one wait."""

from __future__ import annotations

from pathlib import Path

from tests.bench.quantities import COLD, WARM, CannotMeasure, Samples

GROUPS = {"toree_ready": "kernel ready", "toree_first": "first answer of Spark"}
BARS = {"stock": ("stock gateway", "#9e9e9e"), COLD: ("kg2at", "#4f8bc9"), WARM: ("kg2at, a kernel waits", "#e8833a")}
HEIGHT = 0.26


def draw(path: Path, samples: Samples) -> None:
    """Write the plot as SVG: the same bytes for the same values. Raises CannotMeasure without those of all bars."""
    import matplotlib  # the embedded extra has it

    missing = [group for group in GROUPS if not all(samples.values.get(group, {}).get(side) for side in BARS)]
    if missing:
        raise CannotMeasure(f"{path} needs the part warm, which was not measured.")
    matplotlib.use("svg")
    from matplotlib import pyplot

    with pyplot.rc_context({"svg.hashsalt": "kg2at", "svg.fonttype": "none", "font.size": 11}):
        figure, axes = pyplot.subplots(figsize=(7.6, 3.1), layout="constrained")
        for at, (side, (label, colour)) in enumerate(BARS.items()):
            seconds = [samples.median(group, side) / 1000 for group in GROUPS]
            places = [group + (at - 1) * HEIGHT for group in range(len(GROUPS))]
            bars = axes.barh(places, seconds, HEIGHT, color=colour, label=label)
            axes.bar_label(bars, [f"{value:.{2 if value < 1 else 1}f} s" for value in seconds], padding=4)
        axes.set_yticks(range(len(GROUPS)), list(GROUPS.values()))
        axes.invert_yaxis()
        axes.set_xlabel("seconds after the notebook asks for its kernel (median)")
        axes.margins(x=0.12)
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(frameon=False, loc="outside upper center", ncols=len(BARS))
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)
