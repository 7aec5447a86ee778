"""The files of the page: what is vendored, and what the page's own code keeps to."""

from __future__ import annotations

import hashlib
import re

import pytest

from collector.web.site import STATIC

_OWN = sorted(each for each in STATIC.glob("*.js") if not each.name.startswith("uPlot."))


@pytest.mark.parametrize(
    ("name", "sha256"),
    [
        ("uPlot.iife.min.js", "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f"),
        ("uPlot.min.css", "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04"),
    ],
)
def test_uplot_is_the_published_file(name: str, sha256: str) -> None:
    """Version 1.6.32 of the npm registry, with its licence."""
    assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == sha256
    assert "Leon Sorokin" in (STATIC / "uPlot.LICENSE").read_text()


def test_the_page_has_at_most_1200_lines_of_code() -> None:
    """Without comments and blank lines, none of which is longer than 120 characters."""
    lines = [line for file in _OWN for line in file.read_text().splitlines()]
    assert len([line for line in lines if not re.match(r"\s*(//|/?\*|$)", line)]) <= 1200
    assert max(map(len, lines)) <= 120


def test_names_from_outside_can_only_become_text() -> None:
    """Nothing in the page's code makes elements or programs out of strings."""
    code = "".join(file.read_text() for file in _OWN)
    assert "textContent" in code
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code)


def test_the_page_names_each_of_its_modules_and_nothing_from_elsewhere() -> None:
    """Each is requested at once, not when another one imports it; nothing is inline."""
    html = (STATIC / "index.html").read_text()
    named = re.findall(r'(?:href|src)="([^"]+)"', html)
    assert {f"static/{file.name}" for file in _OWN} <= set(named)
    assert all((STATIC.parent / each).is_file() for each in named)
    assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", html)
