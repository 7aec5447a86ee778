"""Health in one number, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.status import Alarms, MeterStatus, State, age_in_words, judge, worst

NOW = 1_770_000_000
HOUR = 3600
MAX_AGE_S = 26 * HOUR


def judged(age_h: float | None, answered_h: float | None = 0.5, running_h: float | None = 99) -> MeterStatus:
    """A meter whose newest hour ended, that was answered, and whose service started so many hours ago."""
    meter = MeterStatus(
        newest_hour=None if age_h is None else round(NOW - (age_h + 1) * HOUR),
        answered_at=None if answered_h is None else round(NOW - answered_h * HOUR),
    )
    running_since = None if running_h is None else round(NOW - running_h * HOUR)
    return judge(meter, "no connection", running_since, NOW, MAX_AGE_S)


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (judged(0.5), State.GOOD),
        (judged(26), State.GOOD),
        (judged(20, answered_h=20), State.GOOD),  # whatever the trouble is: the number is what counts
        (judged(20, answered_h=None, running_h=None), State.GOOD),
        (judged(27), State.OFFLINE),
        (judged(None), State.OFFLINE),
        (judged(27, answered_h=4), State.BROKEN),
        (judged(27, answered_h=None), State.BROKEN),
        (judged(27, running_h=None), State.BROKEN),
        (judged(27, answered_h=None, running_h=0.1), State.STARTING),
        (judged(None, answered_h=None, running_h=0.1), State.STARTING),
        (judged(None, answered_h=None, running_h=2), State.BROKEN),
    ],
)
def test_a_meter_that_is_offline_is_distinguished_from_a_collector_that_is_broken(
    seen: MeterStatus, state: State
) -> None:
    """By whether the cloud still answers; and a service that has just started is given an hour."""
    assert seen.state is state


def test_the_reason_names_what_to_check() -> None:
    """The meter, the trouble that the account is in, or that nothing runs."""
    assert "powered" in judged(27).reason
    assert judged(27, answered_h=9).reason == "no connection"
    assert "not running" in judged(27, running_h=None).reason
    assert "kind" in judged(None).reason  # no data ever: the configuration may be wrong
    good = judged(1)
    assert (good.state, good.age_s, good.reason) == (State.GOOD, HOUR, "")


@given(st.integers(0, NOW * 2), st.none() | st.integers(0, NOW * 2), st.none() | st.integers(0, NOW * 2))
def test_for_any_clock_an_age_is_never_negative(newest: int, answered: int, running_since: int) -> None:
    """A stored hour in the future is of a clock that was set back."""
    meter = MeterStatus(newest_hour=newest, answered_at=answered)
    age_s = judge(meter, "", running_since, NOW, MAX_AGE_S).age_s
    assert age_s is not None
    assert age_s >= 0


def test_several_meters_are_as_well_as_the_worst_of_them() -> None:
    """The worst state, and the greatest age in it; no age at all is the greatest."""
    good, better = MeterStatus(State.GOOD, 9), MeterStatus(State.GOOD, 5)
    offline, broken = MeterStatus(State.OFFLINE, 99), MeterStatus(State.BROKEN, 50)
    assert worst([better, good]) == good
    assert worst([good, broken, offline]) == broken
    assert worst([broken, MeterStatus(State.BROKEN, None)]) == MeterStatus(State.BROKEN, None)
    assert worst([]).state is State.GOOD


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (0, "less than 1 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
        (None, "none yet"),
    ],
)
def test_an_age_is_written_as_a_person_would(age_s: int | None, words: str) -> None:
    assert age_in_words(age_s) == words


@pytest.mark.parametrize(
    ("path", "secrets"),
    [
        (
            "/aBcDeFgHiJkLmNoPqRsT_w/basement-and-garage-meters",
            {"aBcDeFgHiJkLmNoPqRsT_w", "basement-and-garage-meters"},
        ),
        ("/aBcDeFgHiJkLmNoPqRsT_w/shelly-collector", {"aBcDeFgHiJkLmNoPqRsT_w"}),
        ("/0c1f0000-1111-2222-3333-444444444444", {"0c1f0000-1111-2222-3333-444444444444"}),
        ("/ping/0c1f-22/", {"0c1f-22"}),
        ("/api/push/x7Kd92mQ?status=up&msg=OK&ping=", {"x7Kd92mQ"}),
        ("/api/v1/heartbeat/Wq8sYb3nLk5v", {"Wq8sYb3nLk5v"}),
        ("/heartbeat?source=shelly&token=q9w8e7r6&id=314159", {"q9w8e7r6", "314159"}),
        ("/hook?s3cr3t-word", {"s3cr3t-word"}),
        ("/the-topic-of-my-house", {"the-topic-of-my-house"}),
        ("/mysecrettopic", {"mysecrettopic"}),
        ("/ping", set()),
        ("/", set()),
        ("", set()),
    ],
)
def test_each_part_of_a_ping_address_that_may_be_a_secret_is_one(path: str, secrets: set[str]) -> None:
    """Bug: the longest part of the path alone was one, and a longer name behind a key showed the key.

    Words are none: "ping" or "shelly-collector" left out everywhere would make logs unreadable.
    """
    assert set(Alarms(f"https://hc-ping.com{path}").secrets) == secrets
