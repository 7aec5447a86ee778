"""What docs/sharing.md has for its readers to paste, and the dashboards, so that the tests use the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_DOCS = Path(__file__).parents[2] / "docs"
_PAGE = _DOCS / "sharing.md"
DASHBOARDS = ("influxdb", "prometheus")


def documented(section: str, beginning: str) -> str:
    """The only block of that section whose text begins like that."""
    sections = re.split(r"^## ", _PAGE.read_text(), flags=re.MULTILINE)
    (text,) = (each for each in sections if each.startswith(section))
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if block.startswith(beginning))
    return str(found).strip()


def dashboard(name: str) -> dict[str, Any]:
    """The dashboard for a kind of data source."""
    found: dict[str, Any] = json.loads((_DOCS / "grafana" / f"{name}.json").read_text())
    return found


def queries_of(name: str, panel: str, values: Mapping[str, str]) -> dict[str, str]:
    """The queries of a panel by the name of the series, with these values for Grafana's variables."""
    (found,) = (each for each in dashboard(name)["panels"] if each["title"] == panel)
    queries = {}
    for target in found["targets"]:
        text = target.get("query") or target["expr"]
        for variable, value in values.items():
            text = text.replace(variable, value)
        assert "$" not in text, text
        queries[target.get("alias") or target["legendFormat"]] = text
    return queries
