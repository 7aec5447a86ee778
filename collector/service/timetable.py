"""Timetable: when the service asks; as data, so that reading a configuration needs no scheduler."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timetable:
    """When the service asks: minutes past each local hour, and the spread around it in seconds.

    Ten minutes after the hour the cloud has usually received it; the spread keeps a thousand
    collectors from asking in the same second.
    """

    refresh_minute: int = 12
    refresh_jitter_s: float = 60.0
