"""Settings from flags alone: one account, one meter, its files in the output folder itself."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from collector.settings import keys, reading
from collector.settings.model import Settings
from collector.settings.parsing import parse

_LABELS = {
    "account.host": "--host",
    "account.auth_key": "--auth_key",
    "archive.path": "--odir",
    "meter.id": "--id",
    "meter.kind": "--kind",
    "meter.solar": "--no-solar",
    "meter.pv_id": "--pv_id",
    "meter.grid_scale_factor": "--grid_scale_factor",
    "meter.pv_kwh_discard": "--pv_kwh_discard",
    "meter.since": "--since",
}
"""Where each flag stands in a configuration file, and its name."""


def from_flags(
    environ: Mapping[str, str],
    *,
    host: str | None = None,
    id: str | None = None,  # noqa: A002 - named like the flag
    auth_key: str | None = None,
    odir: str | None = None,
    kind: str | None = None,
    solar: bool | None = None,
    pv_id: str | None = None,
    grid_scale_factor: str | None = None,
    pv_kwh_discard: str | None = None,
    since: str | None = None,
    needs_key: bool = True,
) -> Settings:
    """The settings of one meter, all flags as the user typed them; `SettingsError` names the flags.

    Without `kind`, a meter with `pv_id` is a 3em and any other an em. `solar=False` says that an em has
    no solar clamp. The meter is named like its id. `needs_key=False` is for who does not ask the cloud:
    where no key is given, a stand-in takes its place.
    """
    if not needs_key and auth_key is None and not environ.get(keys.ENVIRONMENT):
        environ = {**environ, keys.ENVIRONMENT: keys.STAND_IN}
    given: dict[str, object] = {
        "account.host": host,
        "account.auth_key": auth_key,
        "archive.path": odir,
        "meter.id": id,
        "meter.kind": kind or ("3em" if pv_id is not None else None),
        "meter.solar": solar,
        "meter.pv_id": pv_id,
        "meter.grid_scale_factor": _number(grid_scale_factor),
        "meter.pv_kwh_discard": _number(pv_kwh_discard),
        "meter.since": since,
    }
    tables: dict[str, dict[str, object]] = {
        "archive": {},
        "account": {"name": "account"},
        "meter": {"name": _name(id)},
    }
    for place, value in given.items():
        table, key = place.split(".")
        if value is not None:
            tables[table][key] = value
    labels = {place: flag for place, flag in _LABELS.items() if place != "archive.path" or odir is not None}
    account = {**tables["account"], "meter": [tables["meter"]]}
    return parse({"archive": tables["archive"], "account": [account]}, environ, None, labels)


def _name(device_id: str | None) -> str:
    try:
        return reading.device_id(device_id)
    except ValueError:  # said with the flag itself
        return "meter"


def _number(text: str | None) -> object:
    """The number typed; the text itself where it is none, which is then refused with the rest."""
    try:
        return None if text is None else Decimal(text)
    except InvalidOperation:
        return text
