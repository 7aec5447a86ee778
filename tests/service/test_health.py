"""Health in one number, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.status import Alarms, Health, HealthPolicy, Signs, State, age_in_words, judge, worst

NOW = 1_770_000_000
HOUR = 3600
POLICY = HealthPolicy(max_age_s=26 * HOUR)


def signs(age_h: float | None, answered_h: float | None = 0.5, watched_h: float | None = 99) -> Signs:
    """A meter whose newest hour ended, was answered and is watched since so many hours."""
    return Signs(
        None if age_h is None else round(NOW - (age_h + 1) * HOUR),
        None if answered_h is None else round(NOW - answered_h * HOUR),
        None if watched_h is None else round(NOW - watched_h * HOUR),
        "no connection",
    )


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (signs(0.5), State.GOOD),
        (signs(26), State.GOOD),
        (signs(20, answered_h=20), State.GOOD),  # whatever the trouble is: the number is what counts
        (signs(20, answered_h=None, watched_h=None), State.GOOD),
        (signs(27), State.OFFLINE),
        (signs(None), State.OFFLINE),
        (signs(27, answered_h=4), State.BROKEN),
        (signs(27, answered_h=None), State.BROKEN),
        (signs(27, watched_h=None), State.BROKEN),
        (signs(27, answered_h=None, watched_h=0.1), State.STARTING),
        (signs(None, answered_h=None, watched_h=0.1), State.STARTING),
        (signs(None, answered_h=None, watched_h=2), State.BROKEN),
    ],
)
def test_a_meter_that_is_offline_is_told_from_a_collector_that_is_broken(seen: Signs, state: State) -> None:
    """By whether the cloud still answers; and a service that has just started is given an hour."""
    assert judge(seen, NOW, POLICY).state is state


def test_the_reason_says_what_to_look_at() -> None:
    """The meter, the trouble that the account is in, or that nothing runs."""
    assert "powered" in judge(signs(27), NOW, POLICY).reason
    assert judge(signs(27, answered_h=9), NOW, POLICY).reason == "no connection"
    assert "no service" in judge(signs(27, watched_h=None), NOW, POLICY).reason
    assert judge(signs(1), NOW, POLICY) == Health(State.GOOD, HOUR)


@given(st.integers(0, NOW * 2), st.none() | st.integers(0, NOW * 2), st.none() | st.integers(0, NOW * 2))
def test_whatever_a_clock_says_an_age_is_never_negative(newest: int, answered: int, watched: int) -> None:
    """A stored hour in the future is of a clock that was set back."""
    age_s = judge(Signs(newest, answered, watched), NOW, POLICY).age_s
    assert age_s is not None
    assert age_s >= 0


def test_several_meters_are_as_well_as_the_worst_of_them() -> None:
    """The worst state, and the greatest age in it; no age at all is the greatest."""
    good, better = Health(State.GOOD, 9), Health(State.GOOD, 5)
    offline, broken = Health(State.OFFLINE, 99), Health(State.BROKEN, 50)
    assert worst([better, good]) == good
    assert worst([good, broken, offline]) == broken
    assert worst([broken, Health(State.BROKEN, None)]) == Health(State.BROKEN, None)
    assert worst([]).state is State.GOOD


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (0, "0 min"),
        (7199, "119 min"),
        (7200, "2 h"),
        (172_799, "47 h"),
        (172_800, "2 days"),
        (None, "no hour yet"),
    ],
)
def test_an_age_is_said_as_a_person_would(age_s: int | None, words: str) -> None:
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
