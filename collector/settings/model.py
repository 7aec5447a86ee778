"""What a configuration comes to: the value objects that the modules below define, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Account, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.planning import PlanPolicy
from collector.service.health import Alarms, HealthPolicy, Listen
from collector.service.timetable import Timetable

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How events are written. `auto` is the console on a terminal and JSON lines everywhere else."""

    format: LogFormat = "auto"
    level: LogLevel = "info"


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """One account, its meters, and in words where its key came from."""

    account: Account
    meters: tuple[Meter, ...]
    key_source: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be configured, checked. Keys never show in its `repr`.

    `source` is the file it came from, `None` for flags. `warnings` are sentences for the user.
    `flat` says that there is one meter, given by flags, whose files lie in the archive itself.
    """

    archive: Path
    day_format: DayFormat
    accounts: tuple[AccountSettings, ...]
    pacing: Pacing
    retry: RetryPolicy
    plan: PlanPolicy
    timetable: Timetable
    health: HealthPolicy
    alarms: Alarms
    listen: Listen | None
    log: LogSettings
    source: Path | None
    warnings: tuple[str, ...]
    flat: bool = False

    @property
    def meters(self) -> tuple[Meter, ...]:
        """The meters of all accounts, in the order of the file."""
        return tuple(meter for each in self.accounts for meter in each.meters)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must never be shown: for the redaction, and for nothing else."""
        return (*(each.account.auth_key for each in self.accounts), *self.alarms.secrets)

    def folder_of(self, meter: Meter) -> Path:
        """Where that meter's day files lie."""
        return self.archive if self.flat else self.archive / meter.name
