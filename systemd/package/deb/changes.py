"""CHANGELOG.md -> Debian's changelog, the date of the package, and Debian's spelling of a version."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime

from collector.cli import PROGRAM

MAINTAINER = "The shelly-collector authors <shelly-collector@localhost>"
_HEADING = re.compile(r"^## (\S+) – (.+)$", re.MULTILINE)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_BEFORE_THE_FIRST_RELEASE = "2026-01-01"


def debian_version(version: str) -> str:
    """`0.2.0rc1` is `0.2.0~rc1`, so that it sorts before its release."""
    return re.sub(r"\.?(a|b|rc|dev)(?=\d)", r"~\1", version)


def made_at(changelog: str, environ: Mapping[str, str]) -> datetime:
    """The time that everything in the package carries: the same tree gives the same bytes.

    `SOURCE_DATE_EPOCH` if it is set, else the day of the newest release.
    """
    if environ.get("SOURCE_DATE_EPOCH"):
        return datetime.fromtimestamp(int(environ["SOURCE_DATE_EPOCH"]), UTC)
    days = _DATE.findall(" ".join(day for _, day in _HEADING.findall(changelog)))
    day = date.fromisoformat(max(days, default=_BEFORE_THE_FIRST_RELEASE))
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def debian_changelog(changelog: str, version: str, made: datetime) -> str:
    """The newest release's changes, as dpkg-parsechangelog(1) reads them, under that Debian version."""
    lines = "".join(f"  * {change}\n" for change in _changes(_newest(changelog)))
    when = format_datetime(made)
    return f"{PROGRAM} ({version}) stable; urgency=medium\n\n{lines}\n -- {MAINTAINER}  {when}\n"


def _newest(changelog: str) -> str:
    first, *further = _HEADING.finditer(changelog)
    return changelog[first.end() : further[0].start() if further else None]


def _changes(text: str) -> list[str]:
    """Each paragraph and each list item, its further lines indented."""
    starts = re.split(r"\n(?:\n|(?=- ))", text.strip())
    lines = (" ".join(each.removeprefix("- ").split()) for each in starts)
    return [textwrap.fill(line, 74, subsequent_indent="    ") for line in lines if line]
