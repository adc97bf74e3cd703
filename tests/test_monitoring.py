"""examples/monitoring and docs/monitoring.md name metrics, labels and values that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples" / "monitoring"
PAGE = ROOT / "docs" / "monitoring.md"
#: Functions and words of PromQL that the examples use.
WORDS = {"sum", "by", "increase", "rate", "histogram_quantile", "and", "label_values"}
SELECTOR = re.compile(r"([a-z_][a-z0-9_]*)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(=|!=|=~|!~)"([^"]*)"')

pytestmark = pytest.mark.gen_test(timeout=60)


@pytest.fixture
def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load((EXAMPLES / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


@pytest.fixture
def panels() -> list[dict[str, Any]]:
    return list(json.loads((EXAMPLES / "dashboard.json").read_text(encoding="utf-8"))["panels"])


async def metrics_of(gateway: Any) -> dict[str, dict[str, set[str]]]:
    """Each sample's name of the gateway's answer -> label -> values."""
    text = (await gateway.ask("GET", "/metrics")).body.decode()
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = found.setdefault(sample.name, {})
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def check(expression: str, known: dict[str, dict[str, set[str]]]) -> set[str]:
    """Return the metrics of kg2at's that a query names; each is there, with its labels and their values."""
    assert all(expression.count(one) == expression.count(other) for one, other in ("()", "{}", "[]")), expression
    plain = re.sub(r"\[[^]]*\]", "", expression)
    names = set()
    for name, matchers in SELECTOR.findall(re.sub(r"by \([^)]*\)", "", plain)):
        if name in WORDS or name == "instance":
            continue
        if name == "up":
            continue
        assert name in known, expression
        names.add(name)
        for label, operator, value in MATCHER.findall(matchers):
            if label == "instance":
                continue
            values = value.split("|") if "~" in operator else [value]
            assert set(values) <= known[name].get(label, set()) | {""}, expression
    labels = {word.strip() for words in re.findall(r"by \(([^)]*)\)", plain) for word in words.split(",")}
    assert labels - {"instance"} <= set().union(*(known[name] for name in names)), expression
    return names


async def test_a_query_of_what_is_not_there_is_found(gateway: Any) -> None:
    """What the other tests stand on."""
    known = await metrics_of(gateway)
    for wrong in (
        "sum(kg2at_nothing)",
        'kg2at_cores{state="mine"}',
        "sum by (user) (kg2at_cores)",
        "sum(kg2at_cores",
        'rate(kg2at_kernel_starts_total{reason=~"died|bored"}[5m])',
    ):
        with pytest.raises(AssertionError):
            check(wrong, known)


async def test_the_alerts(gateway: Any, rules: list[dict[str, Any]]) -> None:
    known = await metrics_of(gateway)
    for rule in rules:
        assert rule.keys() <= {"alert", "expr", "for", "labels", "annotations"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "1m"))
        assert check(rule["expr"], known) or rule["alert"] == "Kg2atDown"
        assert rule["labels"]["severity"] in ("info", "warning", "critical") and rule["annotations"]["summary"]
    explained = re.findall(r"^\| `(Kg2at\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert explained == [rule["alert"] for rule in rules]


async def test_the_dashboard(gateway: Any, panels: list[dict[str, Any]]) -> None:
    known = await metrics_of(gateway)
    shown = {name for panel in panels for target in panel["targets"] for name in check(target["expr"], known)}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in known if name.startswith("kg2at_")}
    assert {re.sub(r"_bucket$", "", name) for name in shown} == ours
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({tuple(panel["gridPos"].values()) for panel in panels}) == len(panels)


async def test_the_page_has_each_metric_with_its_labels(gateway: Any) -> None:
    known = await metrics_of(gateway)
    told = re.findall(r"^\| `(kg2at_\w+)` \| (\w+) \| ([^|]*)\|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in told}
    families = {re.sub(r"_bucket$", "", name): set(labels) - {"le"} for name, labels in known.items()}
    ours = {name for name in families if name.startswith("kg2at_") and not name.endswith(("_count", "_sum"))}
    assert documented == {name: families[name] for name in ours}


def test_every_value_of_a_label_is_explained() -> None:
    from kg2at_personality.kernels.outcomes import ALL
    from kg2at_personality.web.kernel_metrics import HOWS, KERNEL_STATES, POLLS, SHARES, WAIT_KINDS, WARM_STATES

    words = set(re.findall(r"`(\w+)`", PAGE.read_text(encoding="utf-8")))
    outcomes = {word for outcome in ALL for word in outcome if word}
    assert not {*outcomes, *HOWS, *SHARES, *KERNEL_STATES, *WARM_STATES, *POLLS, *WAIT_KINDS} - words


def test_how_it_is_scraped() -> None:
    [job] = yaml.safe_load((EXAMPLES / "prometheus.yml").read_text(encoding="utf-8"))["scrape_configs"]
    assert job["metrics_path"] == "/metrics" and job["static_configs"]
    # GatewayHandler takes both, as Jupyter Server does.
    assert job["authorization"]["type"] in ("token", "Bearer") and job["authorization"]["credentials_file"]
