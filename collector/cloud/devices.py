"""The account's devices: which of them are meters, of which kind, and what they are called in the app.

Both endpoints are not documented for this use (see `fetch_devices`), so whatever may be missing in their
answers is taken as missing, and one of them is enough.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from collector.cloud.client import CloudClient
from collector.cloud.meters import Kind
from collector.errors import AnswerError, Rejected, Unavailable

_DEVICE_LIST, _ALL_STATUS = "/interface/device/list", "/device/all_status"
_CHANNEL_SUFFIX = re.compile(r"_[0-9]+\Z")
_ID = re.compile(r"[0-9a-f]{6}|[0-9a-f]{12}")
_LONGEST_TEXT = 200


class Model(NamedTuple):
    """What a model is called, its kind, and whether nobody has reported that the cloud has its hours."""

    name: str
    kind: Kind
    is_guess: bool = False


MODELS = {
    "SHEM-3": Model("3EM", Kind.EM3),
    "SHEM": Model("EM", Kind.EM),
    "SPEM-002": Model("Pro EM-50", Kind.EM),
    "SPEM-003": Model("Pro 3EM", Kind.EM3),
    "S3EM-002": Model("EM Gen3", Kind.EM, is_guess=True),
    "S3EM-003": Model("3EM-63 Gen3", Kind.EM3, is_guess=True),
}
"""By the beginning of the model code; the first match counts."""


@dataclass(frozen=True, slots=True)
class CloudMeter:
    """A meter of the account.

    `name` as in the app and `model` in words may be empty. `online` is `None` if the cloud did not say.
    `is_shared`: it belongs to another account. `doubt`: why its kind is a guess; empty if it is certain.
    """

    id: str
    name: str
    model: str
    kind: Kind
    online: bool | None = None
    is_shared: bool = False
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class Devices:
    """The account's meters, by name and id, those without a name last, and the number of its other devices.

    `gap`: what the cloud did not say, and why; empty if it said all.
    """

    meters: tuple[CloudMeter, ...]
    others: int = 0
    gap: str = ""


Entries = Mapping[str, Mapping[str, Any]]
"""What one endpoint has about each device, by id."""


async def fetch_devices(client: CloudClient) -> Devices:
    """The account's devices, with three requests: the list, the statuses, and those without shared devices.

    The vendor calls the statuses deprecated, so the list alone is enough, and the reverse. Raises
    `SourceError` or `AnswerError` if there is neither.
    """
    listed: Entries = {}
    statuses: Entries = {}
    own: Set[str] = set()
    refusal, gap = None, ""
    try:
        listed = entries_in(await client.fetch_list(_DEVICE_LIST), "devices")
    except (AnswerError, Rejected, Unavailable) as error:
        refusal, gap = error, f"the names of the devices ({error})"
    try:
        statuses = await _statuses(client)
        own = (await _statuses(client, no_shared="true")).keys()
    except (AnswerError, Rejected, Unavailable) as error:
        if refusal is not None:
            raise refusal from None
        statuses, gap = {}, f"the status of the devices ({error}): meters of unknown models are not listed"
    return devices_of(listed, statuses, own, gap)


async def _statuses(client: CloudClient, **form: str) -> Entries:
    return entries_in(await client.fetch_list(_ALL_STATUS, show_info="true", **form), "devices_status")


def entries_in(body: Mapping[str, Any], name: str) -> Entries:
    """The devices in the object `name` of an answer, by id. Raises `AnswerError`.

    A device with several channels has an entry for each: the first one counts, with the first name of all.
    """
    data = body.get("data")
    devices = data.get(name) if isinstance(data, dict) else None
    if not isinstance(devices, dict) and devices != []:  # an empty object may come as an empty list
        raise AnswerError(f"data.{name}", "not an object")
    found: dict[str, dict[str, Any]] = {}
    for key, entry in devices.items() if isinstance(devices, dict) else ():
        if not isinstance(entry, dict):
            continue
        # The key of a status may be another number than the id.
        given = _text(_object(entry.get("_dev_info")).get("id")) or _text(entry.get("id")) or key
        device = _CHANNEL_SUFFIX.sub("", given.lower())
        if _ID.fullmatch(device):
            known = found.setdefault(device, dict(entry))
            known["name"] = _text(known.get("name")) or _text(entry.get("name"))
    return found


def devices_of(listed: Entries, statuses: Entries, own: Set[str], gap: str = "") -> Devices:
    """The devices of both endpoints; `own`: the ids of those that are not shared by another account."""
    meters = []
    ids = dict.fromkeys([*listed, *statuses])
    for each in ids:
        entry, status = listed.get(each, {}), statuses.get(each, {})
        info = _object(status.get("_dev_info"))
        model, kind, doubt = _kind_of(_text(entry.get("type")) or _text(info.get("code")), status)
        if kind is None:
            continue
        is_shared = each in statuses and each not in own
        online = _flag(info.get("online"))
        online = _flag(entry.get("cloud_online")) if online is None else online
        meters.append(CloudMeter(each, _text(entry.get("name")), model, kind, online, is_shared, doubt))
    meters.sort(key=lambda meter: (not meter.name, meter.name.casefold(), meter.id))
    return Devices(tuple(meters), len(ids) - len(meters), gap)


def _kind_of(code: str, status: Mapping[str, Any]) -> tuple[str, Kind | None, str]:
    """The model in words, its kind, and why that is in doubt, from the model's code and the status."""
    model = next((model for start, model in MODELS.items() if code.upper().startswith(start)), None)
    shown = _kind_shown(status)
    if model is None:
        return code, shown, f"the model {code or 'without a name'} is not known" if shown else ""
    if model.kind is Kind.EM3 and shown is Kind.EM:
        doubt = "it measures with three single clamps, of which the first two can be collected"
        return model.name, Kind.EM, doubt
    doubt = (
        "this model is new, and nobody has reported how the cloud stores its hours" if model.is_guess else ""
    )
    return model.name, model.kind, doubt


def _kind_shown(status: Mapping[str, Any]) -> Kind | None:
    """The kind by the parts of a status: `emeters` of generation 1, `em:0` and `em1:0` of the later ones."""
    emeters = status.get("emeters")
    if isinstance(emeters, list):
        return {2: Kind.EM, 3: Kind.EM3}.get(len(emeters))
    if any(key.startswith("em:") for key in status):
        return Kind.EM3
    return Kind.EM if any(key.startswith("em1:") for key in status) else None


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip()[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _flag(value: object) -> bool | None:
    return bool(value) if value in (True, False) else None
