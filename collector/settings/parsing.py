"""A raw TOML table -> `Settings`: every problem of it at once."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.history import PlanPolicy
from collector.errors import Problem, SettingsError
from collector.redaction import redactor
from collector.settings import hosts, keys, schema
from collector.settings.schema import (
    LISTS,
    TABLES,
    AccountSettings,
    LogSettings,
    Setting,
    Settings,
    Timetable,
)
from collector.status import Alarms, HealthPolicy, Listen

T = TypeVar("T")

_LONGEST_SHOWN, _LONGEST_PATH = 80, 4096
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{32,}")  # people paste the key into the wrong line
# Folders may have names as long, but seldom ones of small letters, capitals and digits together.
_LIKE_A_KEY_IN_A_PATH = re.compile(r"(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_PATH = re.compile(r"(?:~|\.\.?)?/(?!/).*", re.DOTALL)  # `//host` is an address
_AFTER_URL = re.compile(r"[?#].*", re.DOTALL)
_BEFORE_HOST = re.compile(r"^.*@", re.DOTALL)


@dataclass(slots=True)
class Findings:
    """What was found so far. `labels` says under which name the user gave a setting: `meter.id`: `--id`."""

    labels: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def wrong(self, place: str, value: object, reason: str) -> None:
        """Notes a problem; what could be a secret of the value is not shown."""
        self.problems.append(Problem(place, shown(value), reason))


class Table:
    """The table `kind`, shown to the user as `place`."""

    def __init__(self, kind: str, place: str, raw: object, findings: Findings) -> None:
        self.kind = kind
        self.place = place
        self._findings = findings
        self._raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        if not isinstance(raw, dict):
            findings.wrong(place, raw, f"must be a table: {LISTS.get(kind, f'[{kind}]')}")

    def has(self, setting: Setting[T]) -> bool:
        """Whether the user gave it."""
        return setting.key in self._raw

    def take(self, setting: Setting[T]) -> T:
        """The setting's value; its default where it is absent or wrong, which is noted."""
        if setting.key not in self._raw:
            if setting.required:
                self._findings.wrong(self.label(setting), None, "is missing")
            return setting.default
        try:
            return setting.read(self._raw[setting.key])
        except ValueError as error:
            self.wrong(setting, str(error))
            return setting.default

    def wrong(self, setting: Setting[T], reason: str) -> None:
        """Notes that the setting's value cannot stand."""
        value = None if setting.secret else self._raw.get(setting.key)
        self._findings.wrong(self.label(setting), value, reason)

    def label(self, setting: Setting[T]) -> str:
        """What the user calls it: its place in the file, or its flag."""
        return self._findings.labels.get(f"{self.kind}.{setting.key}", f"{self.place}.{setting.key}")

    def lists(self, key: str) -> list[object]:
        """The tables `[[…key]]` inside of this one."""
        value = self._raw.get(key, [])
        if isinstance(value, list):
            return value
        self._findings.wrong(f"{self.place}.{key}", None, f"must be a list of tables: {LISTS[key]}")
        return []

    def refuse_unknown(self, *nested: str) -> None:
        """Notes each key that means nothing here, with what may have been meant."""
        known = [setting.key for setting in TABLES[self.kind]] + list(nested)
        for key in self._raw:
            if key not in known:
                self._findings.wrong(f"{self.place}.{shown(key)}", None, unknown(key, known))


def unknown(key: str, known: list[str]) -> str:
    """The reason for refusing a key, with the nearest known one or the table it belongs to."""
    near = difflib.get_close_matches(key.lower(), known, n=1)
    if near:
        return f'unknown key; did you mean "{near[0]}"?'
    homes = [kind for kind, table in TABLES.items() if any(setting.key == key for setting in table)]
    if homes:
        return f"unknown key here; it belongs into {LISTS.get(homes[0], f'[{homes[0]}]')}"
    return f"unknown key; known here: {', '.join(known)}"


def shown(value: object) -> str:
    """A value as a problem may show it: one line, short unless it is a path, without what could be a key."""
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return "[…]" if isinstance(value, list) else "{…}"
    if isinstance(value, int) and abs(value) > 10**18:  # str() refuses beyond 4,300 digits
        return "a huge number"
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    is_path = _PATH.fullmatch(text) is not None
    if is_path:
        text = _LIKE_A_KEY_IN_A_PATH.sub("***", text)
    else:
        text = _LIKE_A_KEY.sub("***", _BEFORE_HOST.sub("…@", _AFTER_URL.sub("…", text)))
    text = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
    longest = _LONGEST_PATH if is_path else _LONGEST_SHOWN
    return text if len(text) <= longest else text[:longest] + "…"


def read_accounts(
    raw: object, environ: Mapping[str, str], source: Path | None, findings: Findings
) -> tuple[AccountSettings, ...]:
    """The accounts of the file; what is wrong with them goes to `findings`."""
    if not isinstance(raw, list):
        findings.wrong("account", None, "must be a list of tables: write [[account]], with two brackets")
        return ()
    if not raw:
        findings.wrong(
            "account", None, "there is none: add [[account]] with name, host and [[account.meter]]"
        )
    several = len(raw) > 1
    accounts = tuple(
        _account(each, place, environ, source, findings, several=several)
        for each, place in zip(raw, _place_names("account", raw), strict=True)
    )
    _refuse_repeated("account", [each.account.name for each in accounts], findings)
    _refuse_repeated("meter", [meter.name for each in accounts for meter in each.meters], findings)
    _warn_of_shared_paces([each.account for each in accounts], findings)
    return accounts


def _account(
    raw: object,
    place: str,
    environ: Mapping[str, str],
    source: Path | None,
    findings: Findings,
    *,
    several: bool,
) -> AccountSettings:
    table = Table("account", place, raw, findings)
    table.refuse_unknown("meter")
    name = table.take(schema.ACCOUNT_NAME)
    base_url = _base_url(table, findings)
    auth_key, key_source = _key(table, name, environ, source, findings, several=several)
    meters = table.lists("meter")
    if not meters:
        findings.wrong(f"{place}.meter", None, "there is none: add [[account.meter]] with name and id")
    return AccountSettings(
        Account(name, base_url, auth_key),
        tuple(
            _meter(each, f"{place}.{meter}", findings)
            for each, meter in zip(meters, _place_names("meter", meters), strict=True)
        ),
        key_source,
    )


def _base_url(table: Table, findings: Findings) -> str:
    host = table.take(schema.HOST)
    if not host:
        return ""
    try:
        base_url = hosts.base_url(host)
    except ValueError as error:
        table.wrong(schema.HOST, str(error))
        return ""
    if not (hosts.is_shelly(base_url) or hosts.is_loopback(base_url)):
        findings.warnings.append(
            f"{table.label(schema.HOST)}: {base_url} is not a host of shelly.cloud; the key goes there"
        )
    return base_url


def _key(
    table: Table,
    account: str,
    environ: Mapping[str, str],
    source: Path | None,
    findings: Findings,
    *,
    several: bool,
) -> tuple[str, str]:
    """The account's key and where it came from."""
    label = table.label(schema.AUTH_KEY)
    auth_key, key_file = table.take(schema.AUTH_KEY), table.take(schema.AUTH_KEY_FILE)
    by_flag = label.startswith("--")
    if auth_key is not None and not by_flag and source is not None and keys.readable_by_others(source):
        findings.warnings.append(f"{label}: any user can read {source}: use auth_key_file, or chmod o-r")
    if key_file is not None:
        key_file = placed(key_file, environ, source)
        if keys.readable_by_others(key_file):
            findings.warnings.append(
                f"{table.label(schema.AUTH_KEY_FILE)}: any user can read {key_file}: chmod o-r"
            )
    if by_flag and auth_key is not None:
        offered = [keys.Offer(label, value=auth_key)]
    else:
        offered = keys.offers(account, auth_key, key_file, environ, source)
    if not offered:
        cure = "give auth_key_file, the credential auth_key, or SHELLY_COLLECTOR_AUTH_KEY"
        if by_flag:
            cure = "give it here, or better as SHELLY_COLLECTOR_AUTH_KEY, which other users cannot read"
        if not table.has(schema.AUTH_KEY) and not table.has(schema.AUTH_KEY_FILE):
            findings.wrong(label, None, f"there is no key: {cure}")
        return "", ""
    best = offered[0]
    if several and best.shared and (own := [each for each in offered if not each.shared]):
        findings.warnings.append(f"{table.place}: uses {best.source}, not its own {own[0].source}")
    place = label if best.path is None and best.source == "auth_key" else best.source
    if best.source == "auth_key_file":
        place = table.label(schema.AUTH_KEY_FILE)
    try:
        key = best.key()
    except ValueError as error:
        findings.wrong(place, best.path, str(error))
        return "", ""
    if keys.is_unusual(key):
        findings.warnings.append(
            f"{place}: the key has more than letters and digits, unlike all that are known: if the cloud "
            "refuses it, copy it anew, without what stands around it"
        )
    return key, best.source


def _meter(raw: object, place: str, findings: Findings) -> Meter:
    table = Table("meter", place, raw, findings)
    table.refuse_unknown()
    meter = Meter(
        name=table.take(schema.METER_NAME),
        id=table.take(schema.METER_ID),
        kind=Kind(table.take(schema.KIND)),
        grid_channel=table.take(schema.GRID_CHANNEL),
        solar_channel=table.take(schema.SOLAR_CHANNEL),
        solar=table.take(schema.SOLAR),
        pv_id=table.take(schema.PV_ID),
        grid_scale_factor=table.take(schema.GRID_SCALE_FACTOR),
        pv_kwh_discard=table.take(schema.PV_KWH_DISCARD),
        since=table.take(schema.SINCE),
        timezone=table.take(schema.TIMEZONE),
    )
    return _three_phase(table, meter, findings) if meter.kind is Kind.EM3 else _two_clamps(table, meter)


def _two_clamps(table: Table, meter: Meter) -> Meter:
    if table.has(schema.PV_ID):
        table.wrong(schema.PV_ID, 'is for kind = "3em"; an "em" counts solar with its own second clamp')
    if meter.solar and meter.grid_channel == meter.solar_channel:
        given = schema.SOLAR_CHANNEL if table.has(schema.SOLAR_CHANNEL) else schema.GRID_CHANNEL
        table.wrong(given, "grid_channel and solar_channel must differ; without solar write solar = false")
    return meter


def _three_phase(table: Table, meter: Meter, findings: Findings) -> Meter:
    for setting in (schema.GRID_CHANNEL, schema.SOLAR_CHANNEL):
        if table.has(setting):
            table.wrong(setting, 'is for kind = "em"; a "3em" counts all phases together')
    has_solar = meter.pv_id is not None
    if table.has(schema.SOLAR) and meter.solar != has_solar:
        if table.label(schema.SOLAR).startswith("--"):
            findings.wrong("--no-solar", None, "contradicts --pv_id, the device that counts solar")
        else:
            table.wrong(schema.SOLAR, 'a "3em" has solar if and only if it has pv_id, its second device')
    if has_solar and meter.pv_id == meter.id:
        table.wrong(schema.PV_ID, "must be another device than id")
    return replace(meter, solar=has_solar)


def _place_names(kind: str, raw: list[object]) -> list[str]:
    """`account[home]` where it has a name, else its number from 1."""
    names = [each.get("name") if isinstance(each, dict) else None for each in raw]
    return [
        f"{kind}[{shown(name)}]" if isinstance(name, str) and name else f"{kind}[{number}]"
        for number, name in enumerate(names, 1)
    ]


def _refuse_repeated(kind: str, names: list[str], findings: Findings) -> None:
    # Folded: on some file systems Grid and grid are one folder.
    counts = Counter(name.casefold() for name in names if name)
    for name, count in counts.items():
        if count > 1:
            findings.wrong(
                f"{kind}.name", name, f"stands {count} times: every {kind} needs a name of its own"
            )


def _warn_of_shared_paces(accounts: list[Account], findings: Findings) -> None:
    """Tables of one host and key are one account to the cloud: they work, and wait for each other."""
    tables: dict[tuple[str, str], list[str]] = {}
    for account in accounts:
        if account.base_url and account.auth_key not in ("", keys.STAND_IN):
            tables.setdefault((account.base_url, account.auth_key), []).append(f"account[{account.name}]")
    for names in tables.values():
        if len(names) > 1:
            findings.warnings.append(
                f"{' and '.join(names)} have the same host and key and share one request a second: "
                "one [[account]] with all their meters says the same"
            )


def placed(path: Path, environ: Mapping[str, str], source: Path | None) -> Path:
    """The path with ~ put in, relative to the configuration file's folder."""
    if path.parts[:1] == ("~",) and environ.get("HOME"):
        path = Path(environ["HOME"], *path.parts[1:])
    return path if source is None else source.parent / path


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
