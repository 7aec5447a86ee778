"""The configuration in force as TOML text, without its secrets: what `config show` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

from collector.cloud.meters import Kind, Meter
from collector.redaction import MASK, redactor
from collector.settings import schema
from collector.settings.schema import AccountSettings, Setting, Settings
from collector.status import Listen

Row = tuple[Setting[Any], object]


def masked(settings: Settings) -> str:
    """TOML that gives the same settings again, the keys aside; each default is marked as one."""
    origin = f"of {_toml(str(settings.source))}" if settings.source else "of the flags given"
    lines = [f"# The configuration in force, {origin}"]
    for kind, rows in _tables(settings).items():
        lines += ["", f"[{kind}]", *_lines(rows)]
    for each in settings.accounts:
        lines += ["", "[[account]]", *_account_lines(each)]
    return redactor(settings.secrets)("\n".join(lines) + "\n")


def _tables(settings: Settings) -> dict[str, list[Row]]:
    plan, timetable, retry = settings.plan, settings.timetable, settings.retry
    return {
        "archive": [
            (schema.ARCHIVE_PATH, settings.archive),
            (schema.DECIMALS, settings.day_format.decimals),
            (schema.REPEATED_HOUR, "merge" if settings.day_format.merge_repeated_hour else "keep"),
        ],
        "pacing": [
            (schema.MIN_INTERVAL_S, settings.pacing.min_interval_s),
            (schema.MAX_IN_FLIGHT, settings.pacing.max_in_flight),
        ],
        "retry": [
            (schema.ATTEMPTS, retry.attempts),
            (schema.WAIT_INITIAL_S, retry.wait_initial_s),
            (schema.WAIT_MAX_S, retry.wait_max_s),
            (schema.WAIT_JITTER_S, retry.wait_jitter_s),
            (schema.TIMEOUT_S, retry.timeout_s),
        ],
        "schedule": [
            (schema.REFRESH_MINUTE, timetable.refresh_minute),
            (schema.REFRESH_JITTER_S, timetable.refresh_jitter_s),
            (schema.SETTLE_DAYS, plan.settle_days),
            (schema.HEAL, plan.heal),
            (schema.BACKFILL_DAYS, "all" if plan.backfill_days is None else plan.backfill_days),
        ],
        "health": [
            (schema.MAX_AGE_H, settings.health.max_age_s / 3600),
            (schema.PING_URL, _without_path(settings.alarms.ping_url)),
            (schema.ON_CHANGE, settings.alarms.on_change),
        ],
        "web": [(schema.LISTEN, settings.listen)],
        "log": [
            (schema.LOG_FORMAT, settings.log.format),
            (schema.LOG_LEVEL, settings.log.level),
        ],
    }


def _without_path(url: str | None) -> str | None:
    """The address as far as it may be known: who is pinged, and not what for."""
    scheme, separator, rest = (url or "").partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host}{slash}{MASK}" if path else url


def _account_lines(each: AccountSettings) -> Iterator[str]:
    account = each.account
    yield from _lines([(schema.ACCOUNT_NAME, account.name), (schema.HOST, account.base_url)])
    yield f'{schema.AUTH_KEY.key} = "{MASK}"  # from {each.key_source}, not shown'
    for meter in each.meters:
        yield from ("", "[[account.meter]]", *_lines(_meter_rows(meter)))


def _meter_rows(meter: Meter) -> list[Row]:
    channels: list[Row] = [
        (schema.GRID_CHANNEL, meter.grid_channel),
        (schema.SOLAR_CHANNEL, meter.solar_channel),
        (schema.SOLAR, meter.solar),
    ]
    return [
        (schema.METER_NAME, meter.name),
        (schema.METER_ID, meter.id),
        (schema.KIND, meter.kind.value),
        *(channels if meter.kind is Kind.EM else [(schema.PV_ID, meter.pv_id)]),
        (schema.GRID_SCALE_FACTOR, meter.grid_scale_factor),
        (schema.PV_KWH_DISCARD, meter.pv_kwh_discard),
        (schema.SINCE, meter.since),
        (schema.TIMEZONE, meter.timezone),
    ]


def _lines(rows: list[Row]) -> Iterator[str]:
    for setting, value in rows:
        if value is None:
            yield f"# {setting.key} is not set"
        else:
            default = "  # default" if not setting.required and value == setting.default else ""
            yield f"{setting.key} = {_toml(value)}{default}"


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(_toml(each) for each in value)}]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, (int, float)):
        return f"{value:g}" if isinstance(value, float) and value.is_integer() else repr(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Listen):
        value = f"[{value.host}]:{value.port}" if ":" in value.host else f"{value.host}:{value.port}"
    text = str(value)  # JSON's escapes are TOML's too
    return json.dumps(text, ensure_ascii=not text.isprintable())
