"""The bug report: one text that a person can read before sending it, without keys or energy values.

Device ids are shortened to their last four digits; the ping URL and the arguments of `on_change` are left
out. Hourly values are left out because they show when people are at home.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from importlib import metadata

from collector import __version__
from collector.archive.files import read_at_most
from collector.archive.folder import LEDGER_NAME, OWN_FOLDER, survey
from collector.cloud.meters import Meter
from collector.doctor.diagnosis import Diagnosis
from collector.errors import CollectorError
from collector.redaction import MASK, redactor
from collector.service.systemd import unit_files
from collector.settings import Settings, masked
from collector.status import to_json

_PACKAGES = ("aiohttp", "APScheduler", "structlog", "tenacity", "tzdata")
_LEDGER_BYTES, _LEDGER_LINES = 8 * 1024 * 1024, 50
_QUARANTINED = 20
_ID_SHOWN = 4


def bundle(settings: Settings, found: Diagnosis, now: datetime, environ: Mapping[str, str]) -> str:
    """The whole report. `environ` is only searched for a key, which is left out."""
    status = found.status
    last_status = "nothing" if status is None else json.dumps(to_json(status), indent=1)
    sections = [
        ("Versions", _versions()),
        ("Checks", [f"{each.mark.value}  {each.subject}: {each.text}" for each in found.checks]),
        ("Configuration", masked(_without_addresses(settings)).splitlines()),
        ("Last status of the service", last_status.splitlines()),
        *((f"Archive of {meter.name}", _archive(settings, meter)) for meter in settings.meters),
    ]
    lines = [
        f"shelly-collector doctor --bundle, {now:%Y-%m-%d %H:%M} UTC",
        "Keys, the ping URL, energy values and most of each device id are left out.",
        "It contains the names of accounts and meters, the host, and paths: read it before you send it.",
    ]
    for title, content in sections:
        lines += ["", f"== {title}", *content]
    return _redacted("\n".join(lines) + "\n", settings, environ)


def _redacted(text: str, settings: Settings, environ: Mapping[str, str]) -> str:
    """The text without secrets, and with short device ids."""
    key = environ.get("SHELLY_COLLECTOR_AUTH_KEY", "").strip()
    text = redactor([*settings.secrets, key, settings.alarms.ping_url or ""])(text)
    for each in {each for meter in settings.meters for each in (meter.id, meter.pv_id) if each}:
        text = re.sub(re.escape(each), "…" + each[-_ID_SHOWN:], text, flags=re.IGNORECASE)
    return text


def _versions() -> Iterator[str]:
    yield f"shelly-collector {__version__}"
    yield f"Python {platform.python_version()} ({platform.python_implementation()})"
    for name in _PACKAGES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            yield f"{name} is not installed as a package"
    yield f"{platform.system()} {platform.release()} {platform.machine()}, {' '.join(platform.libc_ver())}"
    units = [str(path) for path in unit_files()]
    yield f"systemd unit: {', '.join(units) or 'none'}"


def _without_addresses(settings: Settings) -> Settings:
    """The settings without addresses for notifications, which are private and often secret."""
    alarms = settings.alarms
    words = (alarms.on_change[0], *(MASK for _ in alarms.on_change[1:])) if alarms.on_change else ()
    url = None if alarms.ping_url is None else MASK
    return replace(settings, alarms=replace(alarms, ping_url=url, on_change=words))


def _archive(settings: Settings, meter: Meter) -> Iterator[str]:
    folder = settings.folder_of(meter)
    try:
        known, zone, _ = survey(folder, settings.day_format)
        files = sorted(folder.glob("????-??-??.jsonl"))
        size = sum(path.lstat().st_size for path in files)
    except (OSError, CollectorError) as error:
        yield f"cannot be read: {error}"
        return
    complete = sum(state.complete for state in known.values())
    empty = sum(state.is_empty for state in known.values())
    yield f"zone {zone.key if zone else 'not known'}"
    yield f"{len(files)} files, {size} bytes; {complete} complete days, {empty} empty ones"
    if files:
        yield f"first {files[0].stem}, last {files[-1].stem}"
    names, data = list[str](), b""
    with suppress(OSError):
        names = sorted(path.name for path in (folder / OWN_FOLDER / "quarantine").iterdir())
    yield f"{len(names)} file{'s' * (len(names) != 1)} in quarantine{':' * bool(names)}"
    yield from (f"  {ascii(name)[1:-1]}" for name in names[-_QUARANTINED:])
    with suppress(OSError):
        data = read_at_most(folder / OWN_FOLDER / LEDGER_NAME, _LEDGER_BYTES)
    lines = data.decode("utf-8", "replace").splitlines()[-_LEDGER_LINES:]
    yield f"the last {len(lines)} lines of the ledger{':' * bool(lines)}"
    yield from (f"  {''.join(char if char.isprintable() else '?' for char in line)}" for line in lines)
