"""What the service last said of the cloud -> checks: for when it is at work, and nobody else may ask."""

from __future__ import annotations

from collections.abc import Iterator

from collector.cloud.lookup import host_of
from collector.cloud.meters import Account, Meter
from collector.doctor.checks import Check, fail, ok, skip
from collector.doctor.machine import CLOCK_CURE
from collector.doctor.verdicts import DEVICE_CURE, HOST_CURE, KEY_CURE, kind_not_proven
from collector.events import CURES
from collector.service.health import age_in_words
from collector.service.standing import AccountStanding, MeterStanding, Standing

_RECENT_S = 3 * 3600  # the service asks every hour


def clock_hearsay(standing: Standing | None) -> Check | None:
    """The clock, where the service does not trust it; `None` where it says nothing of it."""
    troubles = [] if standing is None else [each.trouble for each in standing.accounts.values()]
    for trouble in troubles:
        if trouble is not None and trouble.event == "clock.untrusted":
            says = f"This machine's clock is wrong, says the service: {trouble.reason}."
            return fail("clock", says, CLOCK_CURE)
    return None


def account_hearsay(account: Account, standing: Standing | None, reason: str, now: float) -> Iterator[Check]:
    """Host and key, at `now` in epoch seconds; `reason` says why the cloud was not asked."""
    told = None if standing is None else standing.accounts.get(account.name)
    if standing is None or told is None:
        for name in ("host", "key"):
            yield skip(name, f"Not asked: {reason}.", account.name)
        return
    yield _host(account, standing, told, reason, now)
    yield _key(account, standing, told, reason, now)


def meter_hearsay(meter: Meter, standing: Standing | None, reason: str, now: float) -> Iterator[Check]:
    """Device and kind."""
    told = None if standing is None else standing.meters.get(meter.name)
    failure = None if told is None else told.failure
    answered_at = (told.answered_at if told else None) or 0
    is_new = failure is not None and failure.at >= answered_at
    if failure is not None and is_new and failure.event == "device.unknown":
        yield fail("device", f"The service says: {failure.reason}.", DEVICE_CURE, meter.name)
        yield skip("kind", "Not known: the account does not know the device.", meter.name)
        return
    recent = _answered(told, now)
    yield (
        ok("device", f"The account knows it: {recent}.", meter.name)
        if recent
        else skip("device", f"Not asked: {reason}.", meter.name)
    )
    if failure is not None and is_new and failure.event == "answer.rejected":
        cure = "If it names kind, follow it; if it stays, file a bug with doctor --bundle."
        yield fail("kind", f"The service could not use an answer: {failure.reason}.", cure, meter.name)
    elif recent and told is not None and told.newest_hour is None:
        yield kind_not_proven(meter, f"{recent[0].upper()}{recent[1:]}, and has no whole hour of it yet")
    elif recent:
        yield ok("kind", f'It answers as kind = "{meter.kind}" does: {recent}.', meter.name)
    else:
        yield skip("kind", f"Not asked: {reason}.", meter.name)


def zone_hearsay(meter: Meter, standing: Standing | None) -> Check | None:
    """The meter's time zone, where the service found it unknown or its rules wrong; else `None`."""
    told = None if standing is None else standing.meters.get(meter.name)
    failure = None if told is None else told.failure
    if failure is None or told is None or failure.at < (told.answered_at or 0):
        return None
    if failure.event not in ("zone.unknown", "zone.suspected"):
        return None
    says = f"The service could not use an answer: {failure.reason}."
    return fail("zone", says, CURES[failure.event], meter.name)


def _host(account: Account, standing: Standing, told: AccountStanding, reason: str, now: float) -> Check:
    trouble = told.trouble
    if trouble is not None and trouble.event == "source.unavailable":
        says = f"{host_of(account)}: {trouble.reason}, says the service."
        return fail("host", says, trouble.cure or HOST_CURE, account.name)
    if recent := _any_answered(standing, told, now):
        return ok("host", f"{host_of(account)} answers: {recent}.", account.name)
    return skip("host", f"Not asked: {reason}.", account.name)


def _key(account: Account, standing: Standing, told: AccountStanding, reason: str, now: float) -> Check:
    trouble = told.trouble
    if trouble is not None and trouble.event == "key.refused":
        return fail("key", "The cloud refused the key, says the service.", KEY_CURE, account.name)
    if recent := _any_answered(standing, told, now):
        return ok("key", f"The cloud accepts the key: {recent}.", account.name)
    return skip("key", f"Not asked: {reason}.", account.name)


def _any_answered(standing: Standing, told: AccountStanding, now: float) -> str:
    meters = (standing.meters.get(name) for name in told.meters)
    return next((recent for each in meters if (recent := _answered(each, now))), "")


def _answered(told: MeterStanding | None, now: float) -> str:
    """When the service was last answered; empty where that is too long ago to prove anything."""
    if told is None or told.answered_at is None or now - told.answered_at > _RECENT_S:
        return ""
    return f"the service was answered {age_in_words(max(0, int(now) - told.answered_at))} ago"
