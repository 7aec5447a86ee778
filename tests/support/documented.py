"""What the README shows its readers to type, so that the trials type the same."""

from __future__ import annotations

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"


def installing() -> str:
    """The lines that install the program, the user, the unit and empty files for key and configuration."""
    return _block("by hand")


def starting() -> list[str]:
    """The lines that check the configuration, start the service and look at it."""
    return _block("start").splitlines()


def _block(marker: str) -> str:
    """The lines below that marker; between the two blocks a person writes the key and the configuration."""
    block = re.search(
        rf"^<!-- {marker} -->\n```sh\n(.*?)^```$", _README.read_text(), re.DOTALL | re.MULTILINE
    )
    if block is None:
        raise AssertionError(f"README.md has no lines below <!-- {marker} -->")
    return block[1]
