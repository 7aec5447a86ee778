"""The account's devices, as its two endpoints list them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from collector.simulator.answers import Answer, Query
from collector.simulator.scenario import Account, Device

_MODELS = {"em": "SHEM", "3em": "SHEM-3"}
_OTHERS = ("SHPLG-S", "SNSW-001P16EU", "SHSW-25", "SNSN-0013A")


def device_list(account: Account) -> Answer:
    """The answer of `/interface/device/list`."""
    devices = dict(_entries(account))
    return {"isok": True, "data": {"devices": devices}}


def all_status(account: Account, query: Query) -> Answer:
    """The answer of `/device/all_status`; with `no_shared=true` without the devices of others."""
    is_alone = query.get("no_shared") == "true"
    devices = [each for each in account.device if not (is_alone and each.shared)]
    statuses = [_status(each) for each in devices]
    statuses += [_other_status(number) for number in range(account.other_devices)]
    if query.get("show_info") != "true":
        statuses = [{name: value for name, value in each.items() if name != "_dev_info"} for each in statuses]
    ids = [each.id for each in devices] + [_other_id(number) for number in range(account.other_devices)]
    keys = [f"XB{number}" for number in range(len(ids))] if account.outer_keys == "others" else ids
    return {"isok": True, "data": {"devices_status": dict(zip(keys, statuses, strict=True))}}


def _entries(account: Account) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for device in account.device:
        channels = range(device.channels if account.entries == "channel" else 1)
        for channel in channels:
            key = f"{device.id}_{channel}" if account.entries == "channel" else device.id
            entry: dict[str, Any] = {"id": key, "type": _model(device)}
            if device.name is not None:
                entry["name"] = device.name
            if account.entries != "sparse":
                entry |= {
                    "gen": _generation(device),
                    "channel": channel,
                    "channels_count": device.channels,
                    "room_id": 1,
                    "category": "emeter",
                    "ip": "192.168.1.20",
                    "cloud_online": device.online,
                }
            yield key, entry
    for number in range(account.other_devices):
        key = _other_id(number)
        name, model = f"Plug {number}", _OTHERS[number % len(_OTHERS)]
        yield key, {"id": key, "name": name, "type": model, "category": "relay", "cloud_online": True}


def _status(device: Device) -> dict[str, Any]:
    status: dict[str, Any] = {"cloud": {"enabled": True, "connected": device.online}}
    if device.shows == "emeters":
        status["emeters"] = [{"power": 0.0, "is_valid": True} for _ in range(device.channels)]
    elif device.shows == "em1":
        status |= {f"em1:{number}": {"id": number, "act_power": 0.0} for number in range(device.channels)}
    elif device.shows == "em":
        status["em:0"] = {"id": 0, "total_act_power": 0.0}
    generation = f"G{_generation(device)}"
    info = {"id": device.id, "gen": generation, "code": _model(device), "online": device.online}
    return {**status, "_dev_info": info}


def _other_status(number: int) -> dict[str, Any]:
    model = _OTHERS[number % len(_OTHERS)]
    info = {"id": _other_id(number), "gen": "G1", "code": model, "online": True}
    meters = [{"power": 1.5, "is_valid": True, "timestamp": 1, "counters": [0.0, 1.0, 2.0], "total": 12}]
    return {"relays": [{"ison": True, "has_timer": False}], "meters": meters, "_dev_info": info}


def _other_id(number: int) -> str:
    return f"{0xC45BBE000000 + number:012x}"


def _model(device: Device) -> str:
    return device.model or _MODELS[device.kind]


def _generation(device: Device) -> int:
    return 1 if _model(device).startswith("SH") else 2
