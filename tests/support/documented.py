"""What the README tells its readers to type, so that the trials type the same."""

from __future__ import annotations

import re
from pathlib import Path

_README = Path(__file__).parents[2] / "README.md"
_ON_A_PI = "On a Raspberry Pi, for ever"


def installing() -> str:
    """The lines that install the program, the user, the unit and empty files for key and configuration."""
    return _blocks()[0]


def starting() -> list[str]:
    """The lines that check the configuration, start the service and look at it."""
    return _blocks()[1].splitlines()


def _blocks() -> tuple[str, str]:
    """The two blocks of the section: between them a person writes the key and the configuration."""
    section = re.search(rf"^## {_ON_A_PI}\n(.*?)^## ", _README.read_text(), re.DOTALL | re.MULTILINE)
    if section is None:
        raise AssertionError(f"README.md has no section {_ON_A_PI!r}")
    install, start = re.findall(r"^```sh\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    return install, start
