"""A raw table -> `Settings`: every problem of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from collector.archive.dayfile import DayFormat
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.planning import PlanPolicy
from collector.errors import Problem, SettingsError
from collector.redaction import redactor
from collector.service.health import Alarms, HealthPolicy, Listen
from collector.service.timetable import Timetable
from collector.settings import hosts, keys, schema
from collector.settings.accounts import placed, read_accounts
from collector.settings.model import AccountSettings, LogSettings, Settings
from collector.settings.tables import Findings, Table, shown, unknown

_OVERRIDES = {
    "SHELLY_COLLECTOR_ARCHIVE": ("archive", schema.ARCHIVE_PATH.key),
    "SHELLY_COLLECTOR_LOG_FORMAT": ("log", schema.LOG_FORMAT.key),
    "SHELLY_COLLECTOR_LOG_LEVEL": ("log", schema.LOG_LEVEL.key),
}
_MIN_INTERVAL_S = 1.0  # the cloud's own limit; a simulator on this machine has none


def parse(
    raw: Mapping[str, object],
    environ: Mapping[str, str],
    source: Path | None,
    flags: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a raw table; `SettingsError` with every problem in it.

    `flags` says which settings came as a flag, and its name: `{"meter.id": "--id"}`; they win over
    the environment, and problems with them are named by it.
    """
    raw, labels = _overridden(raw, environ, flags or {})
    findings = Findings(labels)
    settings = _settings(raw, environ, source, findings, flat=flags is not None)
    if findings.problems:
        raise SettingsError(_without_keys(findings.problems, raw, environ, settings))
    return replace(settings, warnings=tuple(findings.warnings))


def parse_without_keys(raw: Mapping[str, object], environ: Mapping[str, str], source: Path) -> Settings:
    """The settings of a raw table for who does not ask the cloud: every account's key is a stand-in."""
    accounts = raw.get("account", [])
    if isinstance(accounts, list):
        bare = [_without(each, "auth_key", "auth_key_file") for each in accounts]
        raw = {**raw, "account": bare}
    environ = {**environ, keys.ENVIRONMENT: keys.STAND_IN}
    environ.pop("CREDENTIALS_DIRECTORY", None)
    return parse(raw, environ, source)


def _without(table: object, *names: str) -> object:
    if not isinstance(table, dict):
        return table
    return {key: value for key, value in table.items() if key not in names}


def _overridden(
    raw: Mapping[str, object], environ: Mapping[str, str], flags: Mapping[str, str]
) -> tuple[dict[str, object], dict[str, str]]:
    changed, labels = dict(raw), dict(flags)
    for variable, (kind, key) in _OVERRIDES.items():
        table = changed.get(kind, {})
        if environ.get(variable) and f"{kind}.{key}" not in flags and isinstance(table, dict):
            changed[kind] = {**table, key: environ[variable]}
            labels[f"{kind}.{key}"] = f"${variable}"
    return changed, labels


def _settings(
    raw: Mapping[str, object],
    environ: Mapping[str, str],
    source: Path | None,
    findings: Findings,
    *,
    flat: bool,
) -> Settings:
    for key in raw:
        if key not in schema.TABLES or key == "meter":
            tables = [each for each in schema.TABLES if each != "meter"]
            reason = unknown(key, tables) if key != "meter" else "unknown key; write [[account.meter]]"
            findings.wrong(shown(key), None, reason)
    given = archive, pacing, retry, schedule, health, web, log = [
        Table(kind, kind, raw.get(kind, {}), findings)
        for kind in ("archive", "pacing", "retry", "schedule", "health", "web", "log")
    ]
    for table in given:
        table.refuse_unknown()
    accounts = read_accounts(raw.get("account", []), environ, source, findings)
    backfill_days = schedule.take(schema.BACKFILL_DAYS)
    return Settings(
        archive=_archive_path(archive, environ, source, findings),
        day_format=DayFormat(
            decimals=archive.take(schema.DECIMALS),
            merge_repeated_hour=archive.take(schema.REPEATED_HOUR) == "merge",
        ),
        accounts=accounts,
        pacing=_pacing(pacing, accounts),
        retry=_retry(retry),
        plan=PlanPolicy(
            backfill_days=backfill_days if isinstance(backfill_days, int) else None,
            settle_days=schedule.take(schema.SETTLE_DAYS),
            heal=schedule.take(schema.HEAL),
        ),
        timetable=Timetable(
            refresh_minute=schedule.take(schema.REFRESH_MINUTE),
            refresh_jitter_s=schedule.take(schema.REFRESH_JITTER_S),
        ),
        health=HealthPolicy(max_age_s=health.take(schema.MAX_AGE_H) * 3600),
        alarms=Alarms(health.take(schema.PING_URL), health.take(schema.ON_CHANGE)),
        listen=_listen(web, findings),
        log=LogSettings(format=log.take(schema.LOG_FORMAT), level=log.take(schema.LOG_LEVEL)),
        source=source,
        warnings=(),
        flat=flat,
    )


def _archive_path(table: Table, environ: Mapping[str, str], source: Path | None, findings: Findings) -> Path:
    # What stands in the file is relative to the file; a flag or variable is relative to the user.
    in_file = "archive.path" not in findings.labels
    return placed(table.take(schema.ARCHIVE_PATH), environ, source if in_file else None)


def _pacing(table: Table, accounts: tuple[AccountSettings, ...]) -> Pacing:
    pacing = Pacing(table.take(schema.MIN_INTERVAL_S), table.take(schema.MAX_IN_FLIGHT))
    local = all(each.account.base_url and hosts.is_loopback(each.account.base_url) for each in accounts)
    if pacing.min_interval_s < _MIN_INTERVAL_S and not (accounts and local):
        table.wrong(
            schema.MIN_INTERVAL_S,
            "must be at least 1 second, the cloud's limit (less is for a simulator on this machine)",
        )
    return pacing


def _listen(table: Table, findings: Findings) -> Listen | None:
    listen = table.take(schema.LISTEN)
    if listen is not None and not ip_address(listen.host).is_loopback:
        findings.warnings.append(
            f"{table.label(schema.LISTEN)}: whoever reaches {listen.host} can read when you are at home"
        )
    return listen


def _retry(table: Table) -> RetryPolicy:
    policy = RetryPolicy(
        attempts=table.take(schema.ATTEMPTS),
        wait_initial_s=table.take(schema.WAIT_INITIAL_S),
        wait_max_s=table.take(schema.WAIT_MAX_S),
        wait_jitter_s=table.take(schema.WAIT_JITTER_S),
        timeout_s=table.take(schema.TIMEOUT_S),
    )
    if policy.wait_max_s < policy.wait_initial_s:
        table.wrong(schema.WAIT_MAX_S, f"must not be less than wait_initial_s, {policy.wait_initial_s:g}")
    return policy


def _without_keys(
    problems: list[Problem], raw: Mapping[str, object], environ: Mapping[str, str], settings: Settings
) -> list[Problem]:
    """The last resort: whatever a problem says, it does not say a key."""
    accounts = raw.get("account", [])
    given = (
        [each.get("auth_key") for each in accounts if isinstance(each, dict)]
        if isinstance(accounts, list)
        else []
    )
    texts = [environ.get(keys.ENVIRONMENT), *given, *settings.secrets]
    redact = redactor([text.strip() for text in texts if isinstance(text, str)])
    return [Problem(redact(each.field), redact(each.value), redact(each.reason)) for each in problems]
