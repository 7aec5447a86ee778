"""The status of a service with very many accounts."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

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
