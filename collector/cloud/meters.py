"""The settings of a meter that the cloud's API needs, and those that its values are scaled with."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from collector.energy.days import known_zone
from collector.energy.identity import Identity


class Kind(StrEnum):
    """The kind of a device."""

    EM = "em"  # two clamps: Shelly EM, Pro EM-50; one request a channel
    EM3 = "3em"  # three phases: 3EM, Pro 3EM; one request, `sum` is the answer

    @property
    def most_wh(self) -> int:
        """The upper bound of an hour, Wh, before scaling: a fifth above what the hardware measures.

        No device takes more than 280 V (`voltage_limit_v`). The largest clamps of an EM (gen 1, Gen3) are
        for 120 A: 33.6 kWh an hour; a Pro EM-50 has 50 A. The largest 3EM is the Pro 3EM-400 with 400 A
        (`current_limit_a`) on each of three phases: 3 times 112 kWh, a third of the bound a phase.
        Source: shelly-api-docs.shelly.cloud, devices of gen 2 and 3; the gen 1 user guides.
        """
        return 40_000 if self is Kind.EM else 400_000


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter: a device on the grid feed, and the clamp or device that measures solar.

    `name` is its folder and its name in logs. `solar=False`: there is no solar clamp, and the solar
    columns are true zeros. `pv_id` is the second device of a 3EM pair. `grid_scale_factor` multiplies
    import and export; `pv_kwh_discard` is subtracted from each solar hour, down to zero. Days before
    `since` are never requested. `timezone` is the configured one; the zone in the cloud's answers takes
    precedence.
    """

    name: str
    id: str
    kind: Kind = Kind.EM
    grid_channel: int = 0
    solar_channel: int = 1
    solar: bool = True
    pv_id: str | None = None
    grid_scale_factor: Decimal = Decimal(1)
    pv_kwh_discard: Decimal = Decimal(0)
    since: date | None = None
    timezone: str | None = None

    def zone_or(self, home: ZoneInfo) -> ZoneInfo:
        """Its zone before the first answer: the configured one, else this machine's, `home`."""
        return known_zone(self.timezone) or home

    @property
    def has_no_solar(self) -> bool:
        """Whether nothing measures solar, so that its zeros are true."""
        return self.pv_id is None if self.kind is Kind.EM3 else not self.solar

    @property
    def identity(self) -> Identity:
        """The identity of its archive."""
        if self.kind is Kind.EM3:
            return Identity(self.kind.value, (self.id, *filter(None, (self.pv_id,))))
        solar = (self.solar_channel,) if self.solar else ()
        return Identity(self.kind.value, (self.id,), (self.grid_channel, *solar))

    @property
    def requests_per_day(self) -> int:
        """The number of requests for one day of this meter."""
        return len(self.channels)

    @property
    def channels(self) -> tuple[tuple[str, int], ...]:
        """Device and channel of each request: the grid's, then solar's if it needs its own request."""
        if self.kind is Kind.EM3:
            return tuple((device, 0) for device in (self.id, self.pv_id) if device is not None)
        solar = ((self.id, self.solar_channel),) if self.solar else ()
        return (self.id, self.grid_channel), *solar


@dataclass(frozen=True, slots=True)
class Account:
    """One Shelly account: its server and its key.

    `base_url` has a scheme and a host, no path: `https://shelly-12-eu.shelly.cloud`.
    The key is neither in `repr` nor in any error.
    """

    name: str
    base_url: str
    auth_key: str = field(repr=False)
