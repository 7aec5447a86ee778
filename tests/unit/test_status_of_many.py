"""The status of a service with very many accounts."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.cli import doctor
from collector.cli.status import lines
from collector.doctor.checks import Check, Mark
from collector.energy.history import DayState
from collector.net import NO_WAY_CURE
from collector.status import (
    AccountStatus,
    Failure,
    MeterStatus,
    State,
    Status,
    judged,
    read_status,
    status_file,
    write_status,
)

_NOW = 1_800_000_000
_LONG_RUNNING = _NOW - 86400
_MAX_AGE_S = 26 * 3600.0


def many(count: int) -> Status:
    """So many accounts with a meter each; every second one has an outage."""
    failure = Failure("source.unavailable", _NOW, "no answer within 30 s, and more of it " * 4, NO_WAY_CURE)
    troubles = [failure._replace(reason=f"{number}: {failure.reason}") for number in range(count)]
    return Status(
        "0.1.0",
        1,
        _LONG_RUNNING,
        _NOW,
        "2027-01-15",
        accounts={
            f"account-{number}": AccountStatus((f"meter-{number}",), trouble=trouble if number % 2 else None)
            for number, trouble in enumerate(troubles)
        },
        meters={f"meter-{number}": MeterStatus(failure=each) for number, each in enumerate(troubles)},
    )


def test_each_meter_has_the_trouble_of_its_own_account_and_its_own_first() -> None:
    status = many(4)
    own = {"meter-3": MeterStatus(trouble="the device is unknown")}
    meters = judged(status_with(status, own), _NOW, _MAX_AGE_S).meters
    assert [each.state for each in meters.values()] == [State.BROKEN] * 4
    assert [each.reason.partition(":")[0] for each in meters.values()] == [
        "nothing has been collected for hours",
        "1",
        "nothing has been collected for hours",
        "the device is unknown",
    ]


def status_with(status: Status, meters: dict[str, MeterStatus]) -> Status:
    return replace(status, meters={**status.meters, **meters})


def test_the_status_of_a_thousand_accounts_in_an_outage_can_be_read_again(tmp_path: Path) -> None:
    """Bug: above 1 MB it was taken for something else, and `status` had nothing to show."""
    status = many(2000)
    place = status_file(tmp_path, {})
    write_status(place, status)
    assert place.stat().st_size > 1024 * 1024
    assert read_status(tmp_path, {}) == status


def test_the_states_of_many_meters_are_found_without_comparing_each_with_all_accounts() -> None:
    """Bug: a second for 3,000 accounts, at each change, in which no request was sent."""
    status = many(3000)
    began = time.thread_time()
    judged(status, _NOW, _MAX_AGE_S)
    assert time.thread_time() - began < 0.2


def test_of_many_meters_only_those_with_a_problem_are_printed() -> None:
    """Bug: a thousand meters were 11,000 lines, and the three with a problem were somewhere among them."""
    states = {date(2027, 1, 15): DayState.TODAY}
    good = MeterStatus(State.GOOD, 60, newest_hour=_NOW - 3660, answered_at=_NOW, states=states)
    bad = MeterStatus(State.BROKEN, None, reason="no data for hours", answered_at=_NOW, states=states)
    meters = {f"meter-{number}": bad if number in (3, 500) else good for number in range(1000)}
    trouble = Failure("key.refused", _NOW, "the cloud refused the key")
    accounts = {
        f"account-{number}": AccountStatus(
            (f"meter-{number}",), 2, 1, trouble=trouble if number == 3 else None
        )
        for number in range(1000)
    }
    status = Status("1", 1, 1, _NOW, "2027-01-15", accounts=accounts, meters=meters)
    text = "\n".join(lines(status, ZoneInfo("UTC"), io.StringIO(), {}, whole=False))
    assert len(text.splitlines()) < 30
    assert "1000: 2000 requests today, 1000 rate-limit pauses" in text
    assert "meters   1000: 998 good, 2 broken" in text
    assert "account-3:" in text
    assert "waiting: the cloud refused the key" in text
    assert "meter-3: broken" in text
    assert "meter-500: broken" in text
    assert "account-4:" not in text
    one = replace(status, meters={"meter-4": good})
    text = "\n".join(lines(one, ZoneInfo("UTC"), io.StringIO(), {}, whole=False))
    assert "account-4:" in text
    assert "account-3:" not in text


def test_a_problem_of_all_meters_is_not_a_thousand_problems() -> None:
    """Twenty are shown, and how many more there are."""
    failure = Failure("source.unavailable", _NOW, "no connection")
    states = {date(2027, 1, 15): DayState.TODAY}
    bad = MeterStatus(State.BROKEN, reason="no connection", failure=failure, states=states)
    meters = {f"meter-{number}": bad for number in range(1000)}
    accounts = {name: AccountStatus((name,), trouble=failure) for name in meters}
    status = Status("1", 1, 1, _NOW, "2027-01-15", accounts=accounts, meters=meters)
    text = "\n".join(lines(status, ZoneInfo("UTC"), io.StringIO(), {}, whole=False))
    assert len(text.splitlines()) < 250
    assert "980 more accounts are waiting" in text
    assert "980 more meters have a problem" in text


def test_of_many_checks_only_warnings_and_failures_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Bug: `doctor` printed 7,000 lines for a thousand accounts, almost all of them "ok"."""
    checks = [Check(Mark.OK, "right", name="clock")]
    checks += [Check(Mark.OK, "accepted", name="key", of=f"home{number}") for number in range(1000)]
    checks[7] = Check(Mark.SKIP, "No request was sent", name="key", of="home6")
    checks[500] = Check(Mark.FAIL, "refused", "Set it.", "key", "home499")
    doctor._show(tuple(checks), 0)
    printed = capsys.readouterr().out
    assert "right" in printed
    assert "home499" in printed
    assert "home498" not in printed
    assert "home6" not in printed
    assert "999 checks are not listed, all ok or skipped" in printed
    assert len(printed.splitlines()) == 5  # one of them the cure
