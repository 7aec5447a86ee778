"""The tables [[account]] and [[account.meter]] -> accounts with their keys and meters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from collector.cloud.meters import Account, Kind, Meter
from collector.settings import hosts, keys, schema
from collector.settings.model import AccountSettings
from collector.settings.tables import Findings, Table, shown


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
