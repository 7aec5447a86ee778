"""Writes the pages of docs/reference from the code: `.venv/bin/python systemd/package/reference.py`."""

from __future__ import annotations

from deb.building import TREE
from deb.reference import pages


def main() -> None:
    """Writes every page."""
    folder = TREE / "docs" / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    example = (TREE / "config" / "collector.toml").read_text(encoding="utf-8")
    for name, text in pages(example).items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
