"""Writes what is made from the code: docs/reference and config/collector.toml.

`.venv/bin/python systemd/package/reference.py`
"""

from __future__ import annotations

from deb.building import TREE
from deb.reference import pages
from deb.settings_texts import example


def main() -> None:
    """Writes every page, and the example configuration."""
    folder = TREE / "docs" / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (folder / name).write_text(text, encoding="utf-8")
    (TREE / "config" / "collector.toml").write_text(example(), encoding="utf-8")


if __name__ == "__main__":
    main()
