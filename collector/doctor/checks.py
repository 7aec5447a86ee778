"""The checks of what the cloud answers: by the probe, or by the service's status while it is busy."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import partial
from typing import NamedTuple

from collector.cloud.client import host_of
from collector.cloud.meters import Account, Kind, Meter
from collector.doctor.probe import AccountResult, MeterResult
from collector.errors import (
    AnswerError,
    DeviceUnknown,
    KeyRefused,
    RateLimited,
    Rejected,
    ZoneContradicted,
    ZoneUnknown,
)
from collector.net import by_family
from collector.status import AccountStatus, Failure, MeterStatus, Status, age_in_words


class Mark(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"  # it works, but should be checked
    FAIL = "fail"
    SKIP = "skip"  # could not be checked


class Check(NamedTuple):
    """The result of one check.

    `text` and `cure` are whole sentences: the result, and what to do; `cure` is empty if nothing is needed.
    `name` is one of `NAMES`; `of` is the account or meter, empty for checks of the whole.
    """

    mark: Mark
    text: str
    cure: str = ""
    name: str = ""
    of: str = ""

    @property
    def subject(self) -> str:
        """The name, and the account or meter."""
        return f"{self.name} {self.of}".rstrip()


ok = partial(Check, Mark.OK)
warn = partial(Check, Mark.WARN)
fail = partial(Check, Mark.FAIL)
skip = partial(Check, Mark.SKIP)

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
    "publish": "each target of `[[publish]]` can be reached and takes hours with its token",
    "clock": "this machine's clock agrees with the cloud's",
}
"""Every check, with what it covers."""


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
_MANY_HOLDS = 10  # a day; a few are the phone app's
_FEW_HOLDS = 3  # if they are half of the requests: with pauses of an hour there are no more
_RECENT_S = 3 * 3600  # the service sends requests every hour
_NO_DEVICE = skip("Unknown: the account does not have the device.")


def account_checks(
    account: Account, result: AccountResult | None, status: Status | None, busy: str, now: float
) -> Mapping[str, Check]:
    """Host, key and pace by the probe's `result`; without one by the service's status.

    `busy`: why there was no probe. `now`: epoch seconds.
    """
    reported = status.accounts.get(account.name) if status else None
    pace = _pace(result, reported, busy)
    if result is not None:
        return {"host": _host(result), "key": _key(result), "pace": pace}
    host = key = _unsent(busy)
    if status is not None and reported is not None:
        answers = (_answered(status.meters.get(name), now) for name in reported.meters)
        if recent := next(filter(None, answers), ""):
            host = ok(f"{host_of(account)} answers; {recent}.")
            key = ok(f"The cloud accepts the key; {recent}.")
    trouble = reported.trouble if reported else None
    if trouble is not None and trouble.event == "source.unavailable":
        text = f"{host_of(account)}: {trouble.reason} (reported by the service)."
        host = fail(text, trouble.cure or HOST_CURE)
    if trouble is not None and trouble.event == "key.refused":
        key = fail("The service reports that the cloud refused the key.", KEY_CURE)
    return {"host": host, "key": key, "pace": pace}


def _host(result: AccountResult) -> Check:
    host, error = host_of(result.account), result.error
    if error is not None and not isinstance(error, KeyRefused | RateLimited):
        cure = error.cure or HOST_CURE
        if "401" in error.reason:
            cure = f"Often temporary. If it stays: {KEY_CURE}"
        return fail(f"{host}: {error.reason}.", cure)
    requested = [each for each in result.meters if not each.skipped]
    rejections = [each.error for each in requested if isinstance(each.error, Rejected)]
    if rejections and len(rejections) == len(requested):
        return warn(f"{host} answers, but rejects every request.", rejections[0].cure)
    if result.answered and result.unreached:
        lacks, why = " and ".join(sorted(result.unreached)), by_family(result.unreached)
        return warn(
            f"{host} resolves, and answers, but not over {lacks}, or too slowly: {why}.",
            f"Repair {lacks} at the router, or switch it off there. Requests use the other protocol; the "
            "only harm is a delay of a second now and then.",
        )
    if result.answered:
        secure = " with a valid certificate" if result.account.base_url.startswith("https") else ""
        return ok(f"{host} resolves, and answers{secure}.")
    return skip(f"Its name resolves; no request was sent: {_why(result)}.")


def _key(result: AccountResult) -> Check:
    if isinstance(result.error, KeyRefused):
        return fail("The cloud refused the key.", KEY_CURE)
    if any(each.body is not None for each in result.meters):
        return ok("The cloud accepted the key.")
    if any(isinstance(each.error, DeviceUnknown) for each in result.meters):
        return ok("The key is accepted, but the configured device was not found in this account.")
    return skip(f"Unknown: {_why(result)}.")


def _why(result: AccountResult) -> str:
    if isinstance(result.error, RateLimited):
        return "the account's rate limit is reached"
    if result.error is not None:
        return "the host did not answer as the cloud does"
    return next((each.skipped for each in result.meters if each.skipped), "no answer could be used")


def _pace(result: AccountResult | None, reported: AccountStatus | None, busy: str) -> Check:
    """Whether the rate limit was exceeded by this probe, or often by the service today."""
    if result is not None and result.rejections:
        return warn(
            "The cloud rejected a request because of its rate limit, though this program kept to it: "
            "another program, or the phone app, seems to use the same account.",
            PACE_CURE,
        )
    if reported is not None:
        holds, requests = reported.holds_today, reported.requests_today
        if holds >= _MANY_HOLDS or (holds >= _FEW_HOLDS and 2 * holds >= requests):
            return warn(
                f"The service met the rate limit {holds} times in {requests} requests today: another program "
                "seems to use the same account.",
                PACE_CURE,
            )
        today = f"{requests} requests and {holds} rate-limit pauses today"
        return ok(f"No sign of another program using the account: {today}.")
    if result is None:
        return _unsent(busy)
    if result.answered:
        return ok("No request was rejected because of the rate limit.")
    return skip(f"Unknown: {_why(result)}.")


def meter_checks(
    meter: Meter,
    result: MeterResult | None,
    reported: MeterStatus | None,
    busy: str,
    now: float,
    *,
    has_history: bool,
) -> Mapping[str, Check]:
    """Device and kind in the same way. `has_history`: whether complete days of this meter are stored."""
    if result is not None:
        return {"device": _device(result), "kind": _kind(result, has_history=has_history)}
    device = kind = _unsent(busy)
    if reported is not None and (recent := _answered(reported, now)):
        device = ok(f"The account has the device; {recent}.")
        kind = ok(f'The answers are those of kind = "{meter.kind}"; {recent}.')
        if reported.newest_hour is None:
            kind = _kind_not_proven(meter.kind, "The cloud answers, but no hour has been stored yet")
    failure = failure_now(reported)
    if failure is not None and failure.event == "device.unknown":
        device, kind = fail(f"The service reports: {failure.reason}.", DEVICE_CURE), _NO_DEVICE
    if failure is not None and failure.event == "answer.rejected":
        text = f"The service could not use an answer: {failure.reason}."
        kind = fail(text, "If it names kind, correct kind. If it stays, report a bug with doctor --bundle.")
    return {"device": device, "kind": kind}


def _device(result: MeterResult) -> Check:
    if isinstance(result.error, DeviceUnknown):
        return fail(f"{result.error.reason.capitalize()}: {result.device}.", DEVICE_CURE)
    return ok("The account has the device.") if result.body is not None else _not_known(result)


def _kind(result: MeterResult, *, has_history: bool) -> Check:
    kind, error = result.meter.kind, result.error
    no_hour = _kind_not_proven(kind, f"The answer for {result.day} has no hour")
    if isinstance(error, Rejected):
        text = f'The cloud does not answer for {result.device} as kind = "{kind}": {error.reason}.'
        channels = " Or one of its channels does not exist." if kind is Kind.EM else ""
        return fail(text, f"{_set_the_other(kind)}{channels} {error.cure}")
    if isinstance(error, ZoneUnknown | ZoneContradicted):
        return skip("Unknown: without its zone the answer cannot be read, see zone.")
    if isinstance(error, AnswerError):
        if result.body is not None and not result.body.get("history"):
            return no_hour
        if error.field in ("history", "sum") and "kind =" in error.reason:
            return fail(f'{result.device} answers, but not as kind = "{kind}" does.', _set_the_other(kind))
        text = f"The answer is not in the API's format: {error}. Nothing of such an answer is stored."
        return fail(text, "Try again later; if it stays, report a bug with doctor --bundle.")
    if result.body is None or result.read is None:
        return _not_known(result)
    if readings := result.read.energy_day.readings:
        text = f'The answer is that of kind = "{kind}", with {len(readings)} hours of {result.day}'
        if all(hour.solar_kwh is None for hour in readings.values()):
            cure = (
                "Set solar = false if there is no solar clamp. Otherwise check solar_channel, and the clamp."
            )
            if kind is Kind.EM3:
                cure = "Check pv_id, and in the app whether that device is online."
            return warn(f"{text}, but without solar.", cure)
        return ok(f"{text}.")
    if has_history:
        text = f"The cloud has no hour of {result.day}, though it has had days before."
        return warn(text, "Check that the meter is powered and online; the app shows it.")
    return no_hour


def _kind_not_proven(kind: Kind, what: str) -> Check:
    """The check of the kind if the answer had no hour.

    The API does not document what a device of another kind returns: perhaps no rows, perhaps missing ones.
    """
    return warn(
        f"{what}: the device may be of another kind, or new, or it was offline.",
        f"{_set_the_other(kind)} Otherwise check in the app whether it is online.",
    )


def _set_the_other(kind: Kind) -> str:
    if kind is Kind.EM:
        return f'Set kind = "{Kind.EM3}" if it is a 3EM.'
    return f'Set kind = "{Kind.EM}" if it is an EM with clamps.'


def _not_known(result: MeterResult) -> Check:
    if isinstance(result.error, DeviceUnknown):
        return _NO_DEVICE
    return _unsent(result.skipped) if result.skipped else skip("Unknown: no answer could be used.")


def _unsent(why: str) -> Check:
    """A check that needs an answer, where no request was sent."""
    return skip(f"No request was sent: {why}.")


def failure_now(reported: MeterStatus | None) -> Failure | None:
    """The meter's last failure, unless the cloud has answered since."""
    if reported is None or reported.failure is None:
        return None
    return reported.failure if reported.failure.at >= (reported.answered_at or 0) else None


def _answered(reported: MeterStatus | None, now: float) -> str:
    """When the service's last request succeeded, in words; empty if that is too long ago."""
    if reported is None or reported.answered_at is None or now - reported.answered_at > _RECENT_S:
        return ""
    ago = age_in_words(max(0, int(now) - reported.answered_at))
    return f"last successful request of the service: {ago} ago"
