"""The comments of config/collector.toml as data, so that each explanation of a setting stands once."""

from __future__ import annotations

import re

from collector.settings.schema import LISTS, TABLES

_TABLE = re.compile(r"#? ?(\[+[\w.]+\]+)$")
_SETTING = re.compile(r"#? ?(\w+) = ")


def explanations(example: str) -> dict[tuple[str, str], str]:
    """What the example says above each setting: `("archive", "path")` to its comment.

    A comment holds for all settings up to the next one. Settings and tables may be commented out.
    """
    kinds = {LISTS.get(kind, f"[{kind}]"): kind for kind in TABLES}
    found: dict[tuple[str, str], str] = {}
    kind, comment, above = "", list[str](), ""
    for line in example.splitlines():
        table, setting = _TABLE.match(line), _SETTING.match(line)
        if table and table[1] in kinds:
            kind, comment, above = kinds[table[1]], [], ""
        elif setting and any(each.key == setting[1] for each in TABLES.get(kind, ())):
            above = " ".join(comment) or above
            comment = []
            found[kind, setting[1]] = above
        elif line.startswith("#"):
            comment.append(line.lstrip("# "))
    return found
