"""Check: what was checked, the result, and what to do; and the checks of a probe's results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collector.cloud.client import host_of
from collector.cloud.meters import Kind, Meter
from collector.doctor.probe import AccountResult, MeterResult
from collector.energy.days import is_zone_name, known_zone
from collector.energy.plausibility import ENOUGH_DAYS, Clamps, Doubt, doubts
from collector.energy.readings import EnergyDay
from collector.energy.zones import rules_of
from collector.errors import (
    AnswerError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    ZoneContradicted,
    ZoneUnknown,
)
from collector.events import CURES
from collector.net import by_family
from collector.status import AccountStatus


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # it works, but should be checked
    FAIL = "fail"
    SKIP = "skip"  # could not be checked


class Check(NamedTuple):
    """The result of one check. `of` is the account or meter; empty for checks of the whole.

    `says` and `cure` are whole sentences: the result, and what to do; `cure` is empty if nothing is needed.
    """

    name: str
    mark: Mark
    says: str
    cure: str = ""
    of: str = ""


NAMES = {
    "configuration": "the file can be read and has no errors, and there is a key",
    "archive": "the folder exists, is the meter's, can be written, and has space on a local file system such "
    "as ext4 (not a network share, FAT, exFAT, a RAM disk or FUSE)",
    "service": "the service is alive and collects",
    "host": "the account's host resolves and answers over TLS",
    "key": "the cloud accepts the account's key",
    "pace": "no other program uses up the account's one request a second",
    "device": "the account knows the meter's device",
    "kind": "the device answers as the configured kind",
    "zone": "the meter's time zone is the configured one, known here, and its rules are not old",
    "clamps": "the clamps measure what is configured",
    "clock": "this machine's clock agrees with the cloud's",
}
"""Every check, with what it covers."""


def ok(name: str, says: str, of: str = "") -> Check:
    """A check that passed."""
    return Check(name, Mark.OK, says, of=of)


def warn(name: str, says: str, cure: str, of: str = "") -> Check:
    """A check that found something that works, but should be checked."""
    return Check(name, Mark.WARN, says, cure, of)


def fail(name: str, says: str, cure: str, of: str = "") -> Check:
    """A check that failed."""
    return Check(name, Mark.FAIL, says, cure, of)


def skip(name: str, says: str, of: str = "", cure: str = "") -> Check:
    """A check that was not possible; `says` is the reason."""
    return Check(name, Mark.SKIP, says, cure, of)


_AT_NOON = "In the app, on a sunny noon, the roof's channel is the one that shows most."
_DOUBTS = {
    Doubt.CHANNELS_SWAPPED: (
        "Import has the shape of the sun, nothing at night and most around noon, and solar has a house's, "
        "more at night than by day: grid and solar clamp look swapped",
        f"Swap grid_channel and solar_channel. {_AT_NOON}",
    ),
    Doubt.GRID_LIKE_A_ROOF: (
        "Import has the shape of the sun, nothing at night and most around noon, and nothing is exported",
        "Either grid and solar clamp are swapped, or a battery feeds the house at night and is charged from "
        f"the grid by day, which is right. {_AT_NOON}",
    ),
    Doubt.SOLAR_AT_NIGHT: (
        "Solar energy is measured at night, in many nights",
        "With a hybrid inverter, or a battery behind the solar clamp, this is right: nothing to do. Without "
        "one, the clamp is on another wire, or the time zone in the app is wrong: check the clamp, and "
        f"solar_channel. {_AT_NOON}",
    ),
    Doubt.EXPORT_AT_NIGHT: (
        "More is exported than bought at night, without sun: the grid clamp looks turned around",
        "If no battery sells at night, turn it around, or reverse it in the app.",
    ),
    Doubt.EXPORT_EXCEEDS_SOLAR: (
        "More was exported than generated: a clamp looks reversed, or measures only a part of the roof",
        "Check both clamps. A battery or a second inverter causes the same.",
    ),
    Doubt.SOLAR_ALWAYS_ZERO: (
        "Solar was never above zero: the solar clamp looks missing or reversed",
        "Check it; if there is none, set solar = false.",
    ),
    Doubt.IMPORT_ALWAYS_ZERO: (
        "Nothing was ever bought: the grid clamp looks missing or reversed",
        "Check it, and grid_channel. A large battery causes the same.",
    ),
}


def clamps_check(meter: Meter, days: Iterable[EnergyDay]) -> Check:
    """Whether these days look as if the clamps are right. Of a repeated day the later one counts.

    The text contains no kWh values: they would show when people are at home.
    """
    unique = list({day.day.date: day for day in days}.values())
    found = doubts(unique, Clamps(meter.solar, meter.pv_kwh_discard))
    if found is None:
        return skip("clamps", f"Fewer than {ENOUGH_DAYS} complete days are stored.", meter.name)
    if not found:
        return ok("clamps", f"Nothing unusual in the last {len(unique)} days.", meter.name)
    says, cure = _DOUBTS[found[0]]
    more = "".join(f"; {_DOUBTS[each][0][0].lower()}{_DOUBTS[each][0][1:]}" for each in found[1:])
    return warn("clamps", f"{says}{more}.", cure, meter.name)


KEY_CURE = (
    "Keys change with the account's password: copy the key again from the Shelly app, User settings > "
    "Authorization cloud key."
)
HOST_CURE = (
    "Compare the host with the server that the Shelly app shows beside the key, and check whether this "
    "machine is online."
)
DEVICE_CURE = (
    "Compare the id with the app (Settings > Device information), and the host with the server shown beside "
    "the key: after Shelly has moved an account, the old server no longer has its devices."
)
PACE_CURE = (
    "The service pauses and resumes automatically. If it happens all day, end the other program, or raise "
    "min_interval_s."
)
_OTHER = {Kind.EM: Kind.EM3, Kind.EM3: Kind.EM}
_MANY_HOLDS = 10  # a day; a few are the phone app's
_FEW_HOLDS = 3  # if they are half of the requests: with pauses of an hour there are no more


def account_checks(result: AccountResult, status: AccountStatus | None) -> Iterator[Check]:
    """Host, key and pace. `status` is the account's in the service's last status."""
    yield _host(result)
    yield _key(result)
    yield pace_check(result, status)


def meter_checks(result: MeterResult, *, has_history: bool) -> Iterator[Check]:
    """Device and kind. `has_history`: whether complete days of this meter are stored."""
    yield _device(result)
    yield _kind(result, has_history=has_history)


def zone_lack(meter: Meter, result: MeterResult | None, recorded: str, doubt: str) -> Check | None:
    """A check of this machine's time-zone data that is not ok; `None` if nothing is known to be wrong.

    `recorded`: the zone of the stored days if it is unknown here. `doubt`: why its rules are in doubt.
    """
    unknown = recorded
    if result is not None and result.body is not None:
        named = result.body.get("timezone")
        is_unknown = isinstance(named, str) and is_zone_name(named) and known_zone(named) is None
        unknown = str(named) if is_unknown else ""
        if isinstance(result.error, ZoneContradicted):
            doubt = f"{result.error} of {result.day}"
    if unknown:
        says = f"The meter's time zone, {unknown}, is unknown to this machine"
        cure = CURES["zone.unknown"]
        if meter.timezone is None:
            return fail("zone", f"{says}: nothing can be stored.", cure, meter.name)
        return warn("zone", f"{says}; the configured one, {meter.timezone}, counts.", cure, meter.name)
    if doubt:
        says = f"This machine's rules of the meter's time zone may be wrong: {doubt}. No new day is complete."
        return fail("zone", says, CURES["zone.suspected"], meter.name)
    return None


def zone_check(
    answered: ZoneInfo | None, meter: Meter, stored: ZoneInfo | None, home: ZoneInfo, today: date
) -> Check:
    """Compares the zone in the answer with the configured one, that of the files, and this machine's."""
    name = meter.name
    if answered is None and stored is None:
        return skip("zone", "The meter's time zone is not known yet: no answer has named it.", name)
    zone = answered or stored or home
    for other, whose in (
        (meter.timezone, "the configuration"),
        (stored.key if stored else None, "its files so far"),
    ):
        place = known_zone(other)
        if place is not None and not same_hours(zone, place, today.year):
            source = "The meter is" if answered else "The stored days are"
            return warn(
                "zone",
                f"{source} in {zone.key}, but {whose} say{'s' * (whose == 'the configuration')} {other}.",
                f'Set timezone = "{zone.key}" or leave it out: the zone of the meter is used. If that one '
                "is wrong, set its location in the app.",
                name,
            )
    configured = ", as configured" if meter.timezone else ""
    rules = rules_of(zone)
    if rules.are_stale(today):
        age = f"this machine's rules for it are of {rules.release}, two years old or more"
        update = "pip install -U tzdata" if rules.in_package else "apt update && apt install tzdata"
        cure = f"Later changes are missing in them. Update: {update}."
        return warn("zone", f"{zone.key}{configured}; but {age}.", cure, name)
    if same_hours(zone, home, today.year):
        return ok("zone", f"{zone.key}{configured}, which is also this machine's.", name)
    elsewhere = f"this machine is in {home.key}, which does not matter to the files"
    return ok("zone", f"{zone.key}{configured}; {elsewhere}.", name)


def same_hours(one: ZoneInfo, other: ZoneInfo, year: int) -> bool:
    """Whether both have the same local time all that year; many zones have several names."""
    if one.key == other.key:
        return True
    noon = datetime(year, 1, 1, 12, tzinfo=UTC)
    moments = (noon + timedelta(days=number) for number in range(365))
    return all(each.astimezone(one).utcoffset() == each.astimezone(other).utcoffset() for each in moments)


def _host(result: AccountResult) -> Check:
    name, host = result.account.name, host_of(result.account)
    trouble = result.trouble
    if trouble is not None and not isinstance(trouble, KeyRefused | RateLimited):
        cure = trouble.cure or HOST_CURE
        if "401" in trouble.reason:
            cure = f"Often temporary. If it stays: {KEY_CURE}"
        return fail("host", f"{host}: {trouble.reason}.", cure, name)
    requested = [each for each in result.meters if not each.skipped]
    rejections = [each.error for each in requested if isinstance(each.error, Rejected)]
    if rejections and len(rejections) == len(requested):
        return warn("host", f"{host} answers, but rejects every request.", rejections[0].cure, name)
    if result.answered and result.unreached:
        lacks, why = " and ".join(sorted(result.unreached)), by_family(result.unreached)
        says = f"{host} resolves, and answers, but not over {lacks}, or too slowly: {why}."
        cure = (
            f"Repair {lacks} at the router, or switch it off there. Requests use the other protocol; the "
            "only harm is a delay of a second now and then."
        )
        return warn("host", says, cure, name)
    if result.answered:
        secure = " with a valid certificate" if result.account.base_url.startswith("https") else ""
        return ok("host", f"{host} resolves, and answers{secure}.", name)
    return skip("host", f"Its name resolves; no request was sent: {_why(result)}.", name)


def _key(result: AccountResult) -> Check:
    name = result.account.name
    if isinstance(result.trouble, KeyRefused):
        return fail("key", "The cloud refused the key.", KEY_CURE, name)
    if any(each.body is not None for each in result.meters):
        return ok("key", "The cloud accepted the key.", name)
    if any(isinstance(each.error, DeviceUnknown) for each in result.meters):
        return ok(
            "key", "The key is accepted, but the configured device was not found in this account.", name
        )
    return skip("key", f"Unknown: {_why(result)}.", name)


def _why(result: AccountResult) -> str:
    if isinstance(result.trouble, RateLimited):
        return "the account's rate limit is reached"
    if result.trouble is not None:
        return "the host did not answer as the cloud does"
    return next((each.skipped for each in result.meters if each.skipped), "no answer could be used")


def pace_check(result: AccountResult, status: AccountStatus | None) -> Check:
    """Whether the rate limit was exceeded by this probe, or often by the service today."""
    name = result.account.name
    if result.rejections:
        return warn(
            "pace",
            "The cloud rejected a request because of its rate limit, though this program kept to it: "
            "another program, or the phone app, seems to use the same account.",
            PACE_CURE,
            name,
        )
    if status is not None and _are_many(status.holds_today, status.requests_today):
        says = (
            f"The service met the rate limit {status.holds_today} times in {status.requests_today} requests "
            "today: another program seems to use the same account."
        )
        return warn("pace", says, PACE_CURE, name)
    if status is not None:
        today = f"{status.requests_today} requests and {status.holds_today} rate-limit pauses today"
        return ok("pace", f"No sign of another program using the account: {today}.", name)
    if result.answered:
        return ok("pace", "No request was rejected because of the rate limit.", name)
    return skip("pace", f"Unknown: {_why(result)}.", name)


def _are_many(holds: int, requests: int) -> bool:
    return holds >= _MANY_HOLDS or (holds >= _FEW_HOLDS and 2 * holds >= requests)


def _device(result: MeterResult) -> Check:
    name = result.meter.name
    if isinstance(result.error, DeviceUnknown):
        return fail("device", f"{result.error.reason.capitalize()}: {result.device}.", DEVICE_CURE, name)
    if result.body is not None:
        return ok("device", "The account has the device.", name)
    return skip("device", _not_known(result), name)


def _kind(result: MeterResult, *, has_history: bool) -> Check:
    name, kind, error = result.meter.name, result.meter.kind, result.error
    other = _set_the_other(kind)
    no_hour = kind_not_proven(result.meter, f"The answer for {result.day} has no hour")
    if isinstance(error, Rejected):
        says = f'The cloud does not answer for {result.device} as kind = "{kind}": {error.reason}.'
        channels = " Or one of its channels does not exist." if kind is Kind.EM else ""
        return fail("kind", says, f"{other}{channels} {error.cure}", name)
    if isinstance(error, ZoneUnknown | ZoneContradicted):
        return skip("kind", "Unknown: without its zone the answer cannot be read, see zone.", name)
    if isinstance(error, AnswerError):
        if result.body is not None and not result.body.get("history"):
            return no_hour
        if error.field in ("history", "sum") and "kind =" in error.reason:
            says = f'{result.device} answers, but not as kind = "{kind}" does.'
            return fail("kind", says, other, name)
        says = f"The answer is not in the API's format: {error}. Nothing of such an answer is stored."
        return fail("kind", says, "Try again later; if it stays, report a bug with doctor --bundle.", name)
    if result.body is None or result.read is None:
        return skip("kind", _not_known(result), name)
    if readings := result.read.energy_day.readings:
        says = f'The answer is that of kind = "{kind}", with {len(readings)} hours of {result.day}'
        if all(hour.solar_kwh is None for hour in readings.values()):
            return warn("kind", f"{says}, but without solar.", _without_solar(result.meter), name)
        return ok("kind", f"{says}.", name)
    if has_history:
        says = f"The cloud has no hour of {result.day}, though it has had days before."
        return warn("kind", says, "Check that the meter is powered and online; the app shows it.", name)
    return no_hour


def kind_not_proven(meter: Meter, says: str) -> Check:
    """The check of the kind if the answer had no hour; `says` is a sentence without its end.

    The API does not document what a device of another kind returns: perhaps no rows, perhaps missing ones.
    """
    return warn(
        "kind",
        f"{says}: the device may be of another kind, or new, or it was offline.",
        f"{_set_the_other(meter.kind)} Otherwise check in the app whether it is online.",
        meter.name,
    )


def _set_the_other(kind: Kind) -> str:
    return f'Set kind = "{_OTHER[kind]}" if it is {_what(_OTHER[kind])}.'


def _without_solar(meter: Meter) -> str:
    if meter.kind is Kind.EM3:
        return "Check pv_id, and in the app whether that device is online."
    return "Set solar = false if there is no solar clamp. Otherwise check solar_channel, and the clamp."


def _not_known(result: MeterResult) -> str:
    if isinstance(result.error, DeviceUnknown):
        return "Unknown: the account does not have the device."
    return (
        f"No request was sent: {result.skipped}." if result.skipped else "Unknown: no answer could be used."
    )


def _what(kind: Kind) -> str:
    return "an EM with clamps" if kind is Kind.EM else "a 3EM"
