"""Where this machine stands: its time zone, and each meter's until the cloud tells it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from collector.energy.days import zone_named

_LOCALTIME = Path("/etc/localtime")


def home_zone(environ: Mapping[str, str], localtime: Path = _LOCALTIME) -> ZoneInfo:
    """`TZ`, else the system's setting, else UTC."""
    names = [environ.get("TZ", "").lstrip(":")]
    if localtime.is_symlink():
        names.append(str(localtime.readlink()).rpartition("zoneinfo/")[2])
    for name in names:
        try:
            return zone_named(name)
        except ValueError:
            continue
    return zone_named("UTC")
