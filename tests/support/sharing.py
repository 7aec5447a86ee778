"""What docs/sharing.md shows its readers to paste, so that the tests paste the same."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "sharing.md"


def documented(section: str, beginning: str) -> str:
    """The only block of that section whose text begins like that."""
    sections = re.split(r"^## ", _PAGE.read_text(), flags=re.MULTILINE)
    (text,) = (each for each in sections if each.startswith(section))
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (found,) = (block for block in blocks if block.startswith(beginning))
    return str(found).strip()
