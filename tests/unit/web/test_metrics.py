"""Metrics: Prometheus reads the values of the status, and nothing is invented."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.status import AccountStatus, Failure, MeterStatus, State, Status, TargetStatus, judged
from collector.web.metrics import METRICS, exposition
from tests.support.statuses import NOW_S, meter_status, parsed, status_of


def test_prometheus_reads_what_is_in_the_status() -> None:
    """Each number once, in base units, with its labels."""
    assert parsed(exposition(status_of())) == {
        ("shelly_collector_build_info", "version=0.1.0"): 1,
        ("shelly_collector_start_time_seconds", ""): NOW_S - 86400,
        ("shelly_collector_jobs", ""): 1,
        ("shelly_collector_next_run_timestamp_seconds", ""): NOW_S + 720,
        ("shelly_collector_health", "meter=house,state=good"): 1,
        ("shelly_collector_health", "meter=house,state=starting"): 0,
        ("shelly_collector_health", "meter=house,state=offline"): 0,
        ("shelly_collector_health", "meter=house,state=broken"): 0,
        ("shelly_collector_newest_hour_age_seconds", "meter=house"): 1800,
        ("shelly_collector_newest_hour_timestamp_seconds", "meter=house"): NOW_S - 5400,
        ("shelly_collector_last_success_timestamp_seconds", "meter=house"): NOW_S - 1200,
        ("shelly_collector_missing_hours", "meter=house"): 0,
        ("shelly_collector_expiring_days", "meter=house"): 0,
        ("shelly_collector_requests_total", "account=home,outcome=answered"): 7,
        ("shelly_collector_holds_total", "account=home"): 1,
        ("shelly_collector_pace_interval_seconds", "account=home"): 1.05,
        ("shelly_collector_publish_up", "target=db"): 1,
        ("shelly_collector_publish_last_success_timestamp_seconds", "target=db"): NOW_S - 600,
    }


def test_every_metric_has_help_and_type_and_is_in_one_block() -> None:
    """The parser takes a family that comes twice for two; the page has each once, counters as such."""
    families = list(text_string_to_metric_families(exposition(status_of())))
    names = [f"{each.name}_total" if each.type == "counter" else each.name for each in families]
    assert sorted(names) == sorted(METRICS)
    assert {each.type for each in families if each.name.endswith(("requests", "holds"))} == {"counter"}
    for name, family in zip(names, families, strict=True):
        assert family.documentation == METRICS[name].help
        assert all(set(sample.labels) == set(METRICS[name].labels) for sample in family.samples)


@pytest.mark.parametrize("state", State)
def test_a_meter_is_in_exactly_one_state(state: State) -> None:
    """A state set: rules can query any of them."""
    samples = parsed(exposition(status_of(state.value)))
    ones = [labels for (name, labels), value in samples.items() if name.endswith("_health") and value]
    assert ones == [f"meter=house,state={state}"]


def test_what_is_not_known_has_no_sample() -> None:
    """Before the first hour nobody knows an age, a success or what is missing."""
    status = status_of("starting", meters={"house": MeterStatus()}, accounts={}, targets={}, next_run_at=None)
    names = {name.removeprefix("shelly_collector_") for name, _ in parsed(exposition(status))}
    assert names == {"build_info", "start_time_seconds", "jobs", "health", "expiring_days"}


def test_an_age_grows_between_two_statuses_and_is_never_negative() -> None:
    """It is measured at each request; a clock that is behind makes no age of less than nothing."""
    key = ("shelly_collector_newest_hour_age_seconds", "meter=house")
    max_age_s = 26 * 3600
    assert parsed(exposition(judged(status_of(), NOW_S + 90, max_age_s)))[key] == 1890
    assert parsed(exposition(judged(status_of(), NOW_S - 86400, max_age_s)))[key] == 0


_NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
_COUNTS = st.integers(0, 2**53)


@given(
    meter=_NAMES,
    account=_NAMES,
    newest=st.none() | st.integers(0, 2**40),
    outcomes=st.dictionaries(_NAMES, _COUNTS),
    gap_s=st.floats(0, 1e6),
)
def test_any_name_and_any_number_survive_the_format(
    meter: str, account: str, newest: int | None, outcomes: dict[str, int], gap_s: float
) -> None:
    """Quotes, backslashes and newlines are escaped; no NaN, no infinity."""
    status = status_of(
        meters={meter: meter_status(newest_hour=newest)},
        accounts={account: AccountStatus((meter,), outcomes=outcomes, gap_s=gap_s)},
    )
    found: dict[str, list[Any]] = {}
    for family in text_string_to_metric_families(exposition(status)):
        for sample in family.samples:
            found.setdefault(sample.name.removeprefix("shelly_collector_"), []).append(
                (sample.labels, sample.value)
            )
            assert math.isfinite(sample.value)
    assert found.get("newest_hour_timestamp_seconds", []) == [({"meter": meter}, newest)] * (
        newest is not None
    )
    assert found.get("requests_total", []) == [
        ({"account": account, "outcome": outcome}, count) for outcome, count in outcomes.items()
    ]
    assert found["pace_interval_seconds"] == [({"account": account}, gap_s)]


def test_a_page_without_meters_is_still_one() -> None:
    """A status of nothing."""
    bare = Status("0.1.0", 1, NOW_S, NOW_S, "2026-06-15")
    assert parsed(exposition(bare))["shelly_collector_jobs", ""] == 0


def test_a_target_that_takes_nothing_is_down_and_keeps_the_time_of_its_last_success() -> None:
    failing = TargetStatus("homeassistant", NOW_S - 86400, Failure("publish.failed", NOW_S, "no connection"))
    samples = parsed(exposition(status_of(targets={"ha": failing})))
    assert samples["shelly_collector_publish_up", "target=ha"] == 0
    last = samples["shelly_collector_publish_last_success_timestamp_seconds", "target=ha"]
    assert last == NOW_S - 86400
