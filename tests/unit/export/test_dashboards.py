"""The dashboards for Grafana, by Grafana's own schema; tests/system/programs runs their queries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from tests.support.sharing import DASHBOARDS, dashboard, queries_of

_VARIABLES = {"$timeFilter", "$__timezone", "$__range", "$meter"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_field_of_a_dashboard_is_one_that_grafana_knows(name: str) -> None:
    """Read and written again by Grafana's library, it has lost nothing: what that does not know it drops."""
    register_default_plugins()
    written = dashboard(name)
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    assert _lost(written, read, name) == []


def test_queries_for_influxdb_are_sent_as_they_are_written() -> None:
    """Grafana's library has no types for this data source; these are the fields of a query in InfluxQL."""
    fields = {"refId", "datasource", "query", "rawQuery", "resultFormat", "alias"}
    targets = [each for panel in dashboard("influxdb")["panels"] for each in panel["targets"]]
    assert all(set(each) == fields and each["rawQuery"] is True for each in targets)


def _lost(written: Any, read: Any, place: str) -> list[str]:
    """The places of what is written and was not read."""
    if isinstance(written, dict) and isinstance(read, dict):
        pairs = [(each, read.get(name), f"{place}.{name}") for name, each in written.items()]
    elif isinstance(written, list) and isinstance(read, list) and len(written) == len(read):
        pairs = [(each, read[at], f"{place}.{at}") for at, each in enumerate(written)]
    else:
        return [] if written == read else [place]
    return [found for each, other, name in pairs for found in _lost(each, other, name)]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_the_panels_of_a_dashboard_lie_beside_each_other(name: str) -> None:
    """On the 24 columns of Grafana, none above another; each asks the source that is chosen above them."""
    panels = dashboard(name)["panels"]
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        xs, ys = range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])
        cells = {(x, y) for x in xs for y in ys}
        assert max(xs) < 24
        assert not cells & taken
        taken |= cells
        assert all(each["datasource"]["uid"] == "${datasource}" for each in (panel, *panel["targets"]))
        assert len({each["refId"] for each in panel["targets"]}) == len(panel["targets"])
    assert len({panel["id"] for panel in panels}) == len(panels)


def test_both_dashboards_show_the_same() -> None:
    """The same panels with the same series."""
    shown = [
        {panel["title"]: list(queries_of(name, panel["title"], dict.fromkeys(_VARIABLES, ""))) for panel in
         dashboard(name)["panels"]}
        for name in DASHBOARDS
    ]  # fmt: skip
    assert shown[0] == shown[1]
