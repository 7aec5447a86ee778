"""Whether this machine's clock can be right. A Pi has none of its own: it starts in the past.

Trusted is a clock that the system's time service has set, or one that agrees with the cloud's `Date`;
where neither says anything, one that is not before the newest stored day.
"""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

from collector.errors import ClockUntrusted

SYNCHRONIZED = Path("/run/systemd/timesync/synchronized")  # made by systemd-timesyncd, see its manual
_TOLERANCE_S = 120.0


def check_clock(now: datetime, today: date, cloud_now: datetime | None, newest_stored: date | None) -> None:
    """Raises `ClockUntrusted` with the reason. `cloud_now` is what the cloud's clock says at `now`."""
    if SYNCHRONIZED.exists():
        return
    if cloud_now is not None:
        off_s = (now - cloud_now).total_seconds()
        if abs(off_s) > _TOLERANCE_S:
            raise ClockUntrusted(f"it says {now:%Y-%m-%d %H:%M} UTC, the cloud {cloud_now:%Y-%m-%d %H:%M}")
    elif newest_stored is not None and newest_stored > today:
        raise ClockUntrusted(f"it says {now:%Y-%m-%d %H:%M} UTC, but {newest_stored} is stored already")
