"""Writes config/collector.toml from the table of settings: `.venv/bin/python systemd/package/example.py`."""

from __future__ import annotations

from deb.building import TREE
from deb.settings_texts import example

if __name__ == "__main__":
    (TREE / "config" / "collector.toml").write_text(example(), encoding="utf-8")
