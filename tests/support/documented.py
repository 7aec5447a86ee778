"""What the documents show their readers to type, so that the trials type the same."""

from __future__ import annotations

import re
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def installing() -> str:
    """The lines that install the program, the user, the unit and empty files for key and configuration."""
    return _block("by hand")


def starting() -> list[str]:
    """The lines that check the configuration, start the service and look at it."""
    return _block("start").splitlines()


def instances() -> str:
    """The lines that make instances of the unit, `east` and `west`, without accounts."""
    return _block("instances", "docs/scaling.md")


def _block(marker: str, page: str = "README.md") -> str:
    """The lines below that marker; in the README a person writes key and configuration between two blocks."""
    text = (_ROOT / page).read_text()
    block = re.search(rf"^<!-- {marker} -->\n```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    if block is None:
        raise AssertionError(f"{page} has no lines below <!-- {marker} -->")
    return block[1]
