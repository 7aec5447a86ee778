"""A raw TOML table, or flags -> `Settings`: every problem at once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeAlias

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Account, Kind, Meter
from collector.cloud.pacing import CLOUD_INTERVAL_S, Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.history import PlanPolicy
from collector.errors import NotExpressible, Problem, SettingsError
from collector.publish.targets import Target, TargetKind, checked_url
from collector.redaction import printable, redactor
from collector.settings import hosts, keys
from collector.settings.files import FOLDER
from collector.settings.schema import (
    DEVICE_ID,
    LISTS,
    TABLES,
    AccountSettings,
    Settings,
    heading_of,
)
from collector.status import Alarms, Listen

_LONGEST_SHOWN, _LONGEST_PATH = 80, 4096
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9]{32,}")  # people paste the key into the wrong line
# Folders may have names as long, but seldom ones of small letters, capitals and digits together.
_LIKE_A_KEY_IN_A_PATH = re.compile(r"(?=[a-z0-9]*[A-Z])(?=[A-Z0-9]*[a-z])(?=[A-Za-z]*[0-9])[A-Za-z0-9]{32,}")
_PATH = re.compile(r"(?:~|\.\.?)?/(?!/).*", re.DOTALL)  # `//host` is an address
_FOR_ANOTHER_KIND = {
    Kind.EM: 'is for kind = "3em"; an "em" measures solar with its own second clamp',
    Kind.EM3: 'is for kind = "em"; a "3em" measures all phases together',
}
_AFTER_URL = re.compile(r"[?#].*", re.DOTALL)
_BEFORE_HOST = re.compile(r"^.*@", re.DOTALL)
_Files: TypeAlias = Mapping[Path | None, Mapping[str, object]]
"""The raw tables of the configuration file, `None`, and of those in `config.d`."""


def parse(
    raw: Mapping[str, object],
    environ: Mapping[str, str],
    source: Path | None,
    flags: Mapping[str, str] | None = None,
    *,
    more: Mapping[Path, Mapping[str, object]] | None = None,
    needs_keys: bool = True,
) -> Settings:
    """The settings of a raw table; raises `SettingsError` with every problem in it.

    `more`: the raw tables of the files in `config.d`, which have nothing but accounts.
    `flags`: the settings that were given as a flag, and its name: `{"meter.id": "--id"}`. They override
    the environment, and their problems name the flag. `needs_keys=False`: every key is a placeholder.
    """
    raw, labels = _overridden(raw, environ, flags or {})
    reading = _Reading(environ, source, labels, needs_keys)
    files: _Files = dict([(None, raw), *(more or {}).items()])
    settings = _settings(files, reading, flat=flags is not None)
    if reading.problems:
        raise SettingsError(_without_keys(reading.problems, files, environ, settings))
    return replace(settings, warnings=tuple(reading.warnings))


def from_flags(
    environ: Mapping[str, str], *, needs_key: bool = True, **options: str | bool | None
) -> Settings:
    """The settings of one meter, all flags as the user typed them; `SettingsError` names the flags.

    `options`: the flags of the settings by name: `host`, `odir`, `kind`, `solar`, ….
    Without `kind`, a meter with `pv_id` is a 3em and any other an em. `solar=False`: an em without a
    solar clamp. The meter's name is its id. `needs_key=False`, for commands that send no requests: if no key
    is given, a placeholder is used.
    """
    is_given = options.get("auth_key") is not None or keys.offers("account", None, None, environ)
    if options.get("kind") is None and options.get("pv_id") is not None:
        options["kind"] = Kind.EM3.value
    name = "meter"
    with suppress(ValueError):  # a wrong id is reported with its flag
        name = DEVICE_ID.read(options.get("id"))
    archive: dict[str, object] = {}
    account: dict[str, object] = {"name": "account"}
    meter: dict[str, object] = {"name": name}
    labels = {}
    for table, given in (("archive", archive), ("account", account), ("meter", meter)):
        for setting in (each for each in TABLES[table] if each.flag):
            value: object = options.pop(setting.flag.removeprefix("--").removeprefix("no-"), None)
            if value is not None:
                given[setting.key] = value
                if isinstance(setting.default, Decimal):
                    with suppress(InvalidOperation):  # what is no number is reported with the other problems
                        given[setting.key] = Decimal(str(value))
            if value is not None or table != "archive":  # without the flag, a variable may give it
                labels[f"{table}.{setting.key}"] = setting.flag
    if options:
        raise TypeError(f"no flags of a setting: {', '.join(options)}")
    raw = {"archive": archive, "account": [account | {"meter": [meter]}]}
    return parse(raw, environ, None, labels, needs_keys=needs_key or bool(is_given))


def _overridden(
    raw: Mapping[str, object], environ: Mapping[str, str], flags: Mapping[str, str]
) -> tuple[dict[str, object], dict[str, str]]:
    changed, labels = dict(raw), dict(flags)
    for kind, setting in ((kind, each) for kind, table in TABLES.items() for each in table if each.variable):
        table, place = changed.get(kind, {}), f"{kind}.{setting.key}"
        if environ.get(setting.variable) and place not in flags and isinstance(table, dict):
            changed[kind] = {**table, setting.key: environ[setting.variable]}
            labels[place] = f"${setting.variable}"
    return changed, labels


def _without_keys(
    problems: list[Problem], files: _Files, environ: Mapping[str, str], settings: Settings
) -> list[Problem]:
    """The problems without any known key, wherever it was typed."""
    tables = [each for raw in files.values() for each in _listed(raw.get("account"))]
    given = [each.get("auth_key") for each in tables if isinstance(each, dict)]
    texts = [environ.get(keys.ENVIRONMENT), *given, *settings.secrets]
    redact = redactor([text.strip() for text in texts if isinstance(text, str)])
    return [
        Problem(redact(each.field), redact(each.value), redact(each.reason), redact(each.file))
        for each in problems
    ]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _settings(files: _Files, reading: _Reading, *, flat: bool) -> Settings:
    raw = files[None]
    for key in raw:
        if key == "meter":
            reading.wrong(key, None, "unknown key; write [[account.meter]]")
        elif key not in TABLES:
            reading.wrong(_shown(key), None, _unknown(key, [each for each in TABLES if each != "meter"]))
    archive, pacing, retry, schedule, health, web, log = (
        _Table(kind, kind, raw.get(kind, {}), reading) for kind in TABLES if kind not in LISTS
    )
    accounts = _accounts(files, reading)
    return Settings(
        archive=reading.placed(archive.take("path"), in_file="archive.path" not in reading.labels),
        day_format=DayFormat(**archive.fields_of(DayFormat)),
        accounts=accounts,
        pacing=_pacing(pacing, accounts),
        retry=_retry(retry),
        plan=PlanPolicy(**schedule.fields_of(PlanPolicy)),
        **schedule.fields_of(Settings),
        **health.fields_of(Settings),
        alarms=Alarms(**health.fields_of(Alarms)),
        **_web(web),
        targets=_targets(raw, accounts, reading),
        **log.fields_of(Settings),
        source=reading.source,
        warnings=(),
        flat=flat,
    )


def _pacing(table: _Table, accounts: tuple[AccountSettings, ...]) -> Pacing:
    pacing = Pacing(**table.fields_of(Pacing))
    local = all(each.account.base_url and hosts.is_loopback(each.account.base_url) for each in accounts)
    if pacing.min_interval_s < CLOUD_INTERVAL_S and not (accounts and local):
        table.wrong(
            "min_interval_s",
            "must be at least 1 second, the cloud's limit (less is for a simulator on this machine)",
        )
    return pacing


def _retry(table: _Table) -> RetryPolicy:
    policy = RetryPolicy(**table.fields_of(RetryPolicy))
    if policy.wait_max_s < policy.wait_initial_s:
        table.wrong("wait_max_s", f"must not be less than wait_initial_s, {policy.wait_initial_s:g}")
    return policy


def _web(table: _Table) -> dict[str, Any]:
    """The fields of the page, and its password."""
    given = table.fields_of(Settings)
    listen: Listen | None = given["listen"]
    reading, file = table.reading, given["password_file"]
    if file is not None:
        given["password_file"] = file = reading.placed(file)
        if keys.readable_by_others(file):
            table.warn("password_file", f"every user can read {file}: run `chmod o-r` on it")
        if reading.needs_keys:
            try:
                given["password"] = keys.read_password_file(file)
            except ValueError as error:
                reading.wrong(table.label("password_file"), file, str(error))
    elif listen is not None and not ip_address(listen.host).is_loopback:
        table.warn(
            "listen",
            f"everyone who can reach {listen.host} can read the energy values without a password, and so "
            "when you are at home: set password_file",
        )
    return given


def _accounts(files: _Files, reading: _Reading) -> tuple[AccountSettings, ...]:
    lists = {file: _account_tables(raw, reading.of(file)) for file, raw in files.items()}
    count = sum(map(len, lists.values()))
    if not count and all(isinstance(raw.get("account", []), list) for raw in files.values()):
        reading.wrong("account", None, "is missing: add [[account]] with name, host and [[account.meter]]")
    accounts = tuple(
        _account(table, several=count > 1)
        for file, tables in lists.items()
        for table in _tables("account", "", tables, reading.of(file), "meter")
    )
    for kind in ("account", "meter"):
        users: dict[str, list[Path | None]] = {}
        for each in accounts:
            for named in (each.account,) if kind == "account" else each.meters:
                if named.name:
                    # Without case: on some file systems Grid and grid are the same folder.
                    users.setdefault(named.name.casefold(), []).append(each.source)
        for name, used_in in users.items():
            if len(used_in) > 1:
                in_files = f", in {_names(used_in, reading)}" if any(used_in) else ""
                reason = f"is used {len(used_in)} times{in_files}: every {kind} needs a different name"
                reading.wrong(f"{kind}.name", name, reason)
    _warn_of_same_accounts(accounts, reading)
    return accounts


def _targets(
    raw: Mapping[str, object], accounts: tuple[AccountSettings, ...], reading: _Reading
) -> tuple[Target, ...]:
    tables = raw.get("publish", [])
    if not isinstance(tables, list):
        reading.wrong("publish", None, "must be a list of tables: write [[publish]], with two brackets")
    meters = [meter.name for each in accounts for meter in each.meters]
    targets: list[Target] = []
    for table in _tables("publish", "", _listed(tables), reading):
        target = _target(table, meters)
        if target.name and target.name.casefold() in [each.name.casefold() for each in targets]:
            reading.wrong("publish.name", target.name, "is used twice: every target needs a different name")
        targets.append(target)
    return tuple(targets)


def _target(table: _Table, meters: list[str]) -> Target:
    given = table.fields_of(Target)
    target = Target(**given, token=_token(table, given["name"]))
    for setting in TABLES["publish"]:
        if setting.only not in (None, target.kind) and table.has(setting.key) and target.kind:
            table.wrong(setting.key, f'is for kind = "{setting.only}"')
    if target.kind and target.url:
        try:
            target = replace(target, url=checked_url(target.kind, target.url))
        except ValueError as error:
            table.wrong("url", str(error))
    if unknown := [each for each in target.meters if each not in meters]:
        table.wrong("meters", f"there is no meter {unknown[0]}; there are: {', '.join(meters)}")
    if target.kind is TargetKind.HOME_ASSISTANT:
        if not target.token:
            table.reading.wrong(
                table.label("token_file"), None, "is missing: Home Assistant needs a token, see the reference"
            )
        from collector.export.homeassistant import slugs  # here: most have no such target

        try:
            slugs(target.meters or meters)
        except NotExpressible as error:
            table.wrong("meters", str(error))
    return target


def _token(table: _Table, target: str) -> str:
    """The token of the target of that name; a placeholder where it is wrong, and if none is needed."""
    reading = table.reading
    if not reading.needs_keys:
        return keys.STAND_IN
    token, file = table.take("token"), table.take("token_file")
    if token is not None and reading.source and keys.readable_by_others(reading.source):
        table.warn("token", f"every user can read {reading.source}: use token_file, or run `chmod o-r` on it")
    if file is not None:
        file = reading.placed(file)
        if keys.readable_by_others(file):
            table.warn("token_file", f"every user can read {file}: run `chmod o-r` on it")
    offer = keys.token_offer(target, token, file, reading.environ)
    if offer is None:
        return ""
    try:
        return offer.token()
    except ValueError as error:
        is_setting = offer.source in ("token", "token_file")
        reading.wrong(table.label(offer.source) if is_setting else offer.source, offer.path, str(error))
        return keys.STAND_IN


def _account_tables(raw: Mapping[str, object], reading: _Reading) -> list[object]:
    """The tables `[[account]]` of one file; a file in `config.d` may have nothing else."""
    if reading.file is not None:
        for key in raw:
            if key == "meter":
                reading.wrong(key, None, "unknown key; write [[account.meter]]")
            elif key != "account":
                reason = f"only [[account]] may be here; everything else belongs to {_name(reading.source)}"
                reading.wrong(_shown(key), None, reason)
    tables = raw.get("account", [])
    if not isinstance(tables, list):
        reading.wrong("account", None, "must be a list of tables: write [[account]], with two brackets")
    return _listed(tables)


def _names(files: Iterable[Path | None], reading: _Reading) -> str:
    """The files, each once, by their names beside the configuration file."""
    return " and ".join(dict.fromkeys(_name(file or reading.source) for file in files))


def _name(file: Path | None) -> str:
    """The file's name, with its folder if that is `config.d`."""
    if file is None:
        return ""
    return printable(f"{FOLDER}/{file.name}" if file.parent.name == FOLDER else file.name)


def _account(table: _Table, *, several: bool) -> AccountSettings:
    given = table.fields_of(Account)
    base_url = given["base_url"]
    if base_url and not (hosts.is_shelly(base_url) or hosts.is_loopback(base_url)):
        table.warn("host", f"{base_url} is not a host of shelly.cloud, and the key is sent to it")
    auth_key, key_source = _key(table, given["name"], several=several)
    meters = table.lists("meter")
    if not meters:
        table.reading.wrong(
            f"{table.place}.meter", None, "is missing: add [[account.meter]] with name and id"
        )
    tables = _tables("meter", f"{table.place}.", meters, table.reading)
    account = Account(**given, auth_key=auth_key)
    return AccountSettings(account, tuple(map(_meter, tables)), key_source, table.reading.file)


def _tables(kind: str, prefix: str, raw: list[object], reading: _Reading, *nested: str) -> Iterator[_Table]:
    """Each table of a list; its place is `account[home]` where it has a name, else its number from 1."""
    for number, each in enumerate(raw, 1):
        name = each.get("name") if isinstance(each, dict) else None
        label = _shown(name) if isinstance(name, str) and name else number
        yield _Table(kind, f"{prefix}{kind}[{label}]", each, reading, *nested)


def _key(table: _Table, account: str, *, several: bool) -> tuple[str, str]:
    """The account's key and where it came from."""
    reading, label = table.reading, table.label("auth_key")
    if not reading.needs_keys:
        return keys.STAND_IN, f"${keys.ENVIRONMENT}"  # as if it were there
    auth_key, key_file = table.take("auth_key"), table.take("auth_key_file")
    by_flag = label.startswith("--")
    named_in = reading.file or reading.source
    if auth_key is not None and not by_flag and named_in and keys.readable_by_others(named_in):
        table.warn("auth_key", f"every user can read {named_in}: use auth_key_file, or run `chmod o-r` on it")
    if key_file is not None:
        key_file = reading.placed(key_file)
        if keys.readable_by_others(key_file):
            table.warn("auth_key_file", f"every user can read {key_file}: run `chmod o-r` on it")
    if by_flag and auth_key is not None:
        offered = [keys.Offer(label, value=auth_key)]
    else:
        offered = keys.offers(account, auth_key, key_file, reading.environ, reading.source)
    if not offered:
        cure = "set auth_key_file, the systemd credential auth_key, or SHELLY_COLLECTOR_AUTH_KEY"
        if by_flag:
            cure = "set the environment variable SHELLY_COLLECTOR_AUTH_KEY, or use --auth_key"
        if not table.has("auth_key") and not table.has("auth_key_file"):
            reading.wrong(label, None, f"no key given: {cure}")
        return "", ""
    best = offered[0]
    if several and best.shared and (own := [each for each in offered if not each.shared]):
        reading.warn(f"{table.place}: uses {best.source}, not its own {own[0].source}")
    place = table.label(best.source) if best.source in ("auth_key", "auth_key_file") else best.source
    try:
        key = best.key()
    except ValueError as error:
        reading.wrong(place, None if place == str(best.path) else best.path, str(error))
        return "", ""
    if not key.isalnum():
        reading.warn(
            f"{place}: the key has more than letters and digits, unlike all known keys: if the cloud refuses "
            "it, copy it again, without what is around it"
        )
    return key, best.source


def _meter(table: _Table) -> Meter:
    meter = Meter(**table.fields_of(Meter))
    for setting in TABLES["meter"]:
        is_for_another = setting.only not in (None, meter.kind) and setting.key != "solar"
        if is_for_another and table.has(setting.key):
            table.wrong(setting.key, _FOR_ANOTHER_KIND[meter.kind])
    if meter.kind is Kind.EM:
        if meter.solar and meter.grid_channel == meter.solar_channel:
            given = "solar_channel" if table.has("solar_channel") else "grid_channel"
            reason = "grid_channel and solar_channel must differ; without solar write solar = false"
            table.wrong(given, reason)
        return meter
    has_solar = meter.pv_id is not None
    if table.has("solar") and meter.solar != has_solar:
        if table.label("solar").startswith("--"):
            table.reading.wrong("--no-solar", None, "contradicts --pv_id, the device that measures solar")
        else:
            table.wrong("solar", 'a "3em" has solar if and only if it has pv_id, its second device')
    if has_solar and meter.pv_id == meter.id:
        table.wrong("pv_id", "must be another device than id")
    return replace(meter, solar=has_solar)


def _warn_of_same_accounts(accounts: tuple[AccountSettings, ...], reading: _Reading) -> None:
    """Warns of accounts with the same host and key, which share one rate limit."""
    tables: dict[tuple[str, str], list[str]] = {}
    for each in accounts:
        account, place = each.account, f" in {_name(each.source)}" if each.source else ""
        if account.base_url and account.auth_key not in ("", keys.STAND_IN):
            named = f"account[{account.name}]{place}"
            tables.setdefault((account.base_url, account.auth_key), []).append(named)
    for names in tables.values():
        if len(names) > 1:
            reading.warn(
                f"{' and '.join(names)} have the same host and key and share one request a second: "
                "one [[account]] with all their meters is enough"
            )


@dataclass(slots=True)
class _Reading:
    """A configuration while it is parsed: its environment and source, and the problems found so far.

    `labels`: the name under which the user gave a setting: `meter.id`: `--id`. `file`: the file in `config.d`
    that is parsed, `None` for the configuration file itself.
    """

    environ: Mapping[str, str]
    source: Path | None
    labels: Mapping[str, str]
    needs_keys: bool
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    file: Path | None = None

    def of(self, file: Path | None) -> _Reading:
        """The same, while that file is parsed."""
        return replace(self, file=file)

    def wrong(self, place: str, value: object, reason: str) -> None:
        """Records a problem; parts of the value that could be a secret are masked."""
        file = printable(str(self.file)) if self.file else ""
        self.problems.append(Problem(place, _shown(value), reason, file))

    def warn(self, text: str) -> None:
        """Records a warning, with the file's name if it is in `config.d`."""
        self.warnings.append(f"{_name(self.file)}: {text}" if self.file else text)

    def placed(self, path: Path, *, in_file: bool = True) -> Path:
        """The path with ~ expanded; relative to its file's folder if it is from a file, else as it is."""
        if path.parts[:1] == ("~",) and self.environ.get("HOME"):
            path = Path(self.environ["HOME"], *path.parts[1:])
        named_in = self.file or self.source
        return named_in.parent / path if in_file and named_in is not None else path


class _Table:
    """The table `kind`, called `place` in messages; its settings are found by their keys."""

    def __init__(self, kind: str, place: str, raw: object, reading: _Reading, *nested: str) -> None:
        """`nested`: the tables that it may contain. Each unknown key is recorded as a problem."""
        self.kind = kind
        self.place = place
        self.reading = reading
        self._raw: Mapping[str, object] = raw if isinstance(raw, dict) else {}
        self._settings = {setting.key: setting for setting in TABLES[kind]}
        if not isinstance(raw, dict):
            reading.wrong(place, raw, f"must be a table: {heading_of(kind)}")
        known = [*self._settings, *nested]
        for key in self._raw:
            if key not in known:
                reading.wrong(f"{place}.{_shown(key)}", None, _unknown(key, known))

    def has(self, key: str) -> bool:
        return key in self._raw

    def take(self, key: str) -> Any:
        """The setting's value; its default if it is absent or wrong, which is recorded as a problem."""
        setting = self._settings[key]
        if self.has(key):
            try:
                return setting.read(self._raw[key])
            except ValueError as error:
                self.wrong(key, str(error))
        elif setting.required:
            self.reading.wrong(self.label(key), None, "is missing")
        return setting.default

    def fields_of(self, of: type) -> dict[str, Any]:
        """All fields of that value object that this table sets."""
        return {each.attribute: self.take(each.key) for each in self._settings.values() if each.of is of}

    def wrong(self, key: str, reason: str) -> None:
        """Records that the setting's value cannot be used."""
        value = None if self._settings[key].secret else self._raw.get(key)
        self.reading.wrong(self.label(key), value, reason)

    def warn(self, key: str, reason: str) -> None:
        self.reading.warn(f"{self.label(key)}: {reason}")

    def label(self, key: str) -> str:
        """The setting's name in messages: its place in the file, or its flag."""
        return self.reading.labels.get(f"{self.kind}.{key}", f"{self.place}.{key}")

    def lists(self, key: str) -> list[object]:
        """The tables `[[…key]]` inside this one."""
        value = self._raw.get(key, [])
        if isinstance(value, list):
            return value
        self.reading.wrong(f"{self.place}.{key}", None, f"must be a list of tables: {LISTS[key]}")
        return []


def _unknown(key: str, known: list[str]) -> str:
    """Why a key is refused, with the most similar known one or the table it belongs to."""
    import difflib  # here: the service keeps 0.15 MB less

    if near := difflib.get_close_matches(key.lower(), known, n=1):
        return f'unknown key; did you mean "{near[0]}"?'
    owners = [kind for kind, table in TABLES.items() if any(setting.key == key for setting in table)]
    if owners:
        return f"unknown key here; it belongs to {heading_of(owners[0])}"
    return f"unknown key; known here: {', '.join(known)}"


def _shown(value: object) -> str:
    """A value as it is shown in a problem: one line, short unless it is a path, with possible keys masked."""
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
    text = printable(text)
    longest = _LONGEST_PATH if is_path else _LONGEST_SHOWN
    return text if len(text) <= longest else text[:longest] + "…"
