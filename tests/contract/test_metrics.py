"""The list of metrics and the dashboard agree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from prometheus_client import Metric

from shared.runtime.metrics import REGISTRY

ROOT = Path(__file__).parents[2]
DASHBOARD = json.loads((ROOT / "dashboards" / "dits.json").read_text())
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}


def declared() -> list[Metric]:
    return [metric for metric in REGISTRY.collect() if metric.name.startswith("dits_")]


def series(metric: Metric) -> set[str]:
    return {metric.name + suffix for suffix in SUFFIXES[metric.type]}


def strings(value: Any) -> list[str]:
    """All texts in the dashboard."""
    if isinstance(value, str):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for item in items for text in strings(item)]


def test_the_dashboard_asks_only_for_what_is_exported() -> None:
    known = set().union(*map(series, declared()))
    known |= {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    asked = set(re.findall(r"\b(?:dits|process|python)_\w+", " ".join(strings(DASHBOARD))))
    assert asked <= known


def test_the_dashboard_shows_every_metric() -> None:
    text = " ".join(strings(DASHBOARD["panels"]))
    missing = [
        m.name for m in declared() if not any(re.search(rf"\b{s}\b", text) for s in series(m))
    ]
    assert missing == []


def test_names_and_units_follow_the_rules_of_prometheus() -> None:
    for metric in declared():
        assert re.fullmatch(r"dits(_[a-z]+)+", metric.name)
        assert metric.documentation
        assert not re.search(r"_(ms|millis|milliseconds|kb|mb|count|total)$", metric.name)


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}
    assert len(places) == len(panels)
