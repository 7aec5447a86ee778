"""Metrics: the status in Prometheus's text format, version 0.0.4. Pure.

Unknown values have no sample: a zero would be wrong, and NaN never triggers an alarm rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from collector.status import State, Status

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PREFIX = "shelly_collector_"

Sample = tuple[str, float | None, Mapping[str, str]]
"""A metric's name without the prefix, its value, and its labels."""


class Metric(NamedTuple):
    """The labels of one metric, and what it measures. A name that ends in `_total` counts up."""

    labels: tuple[str, ...]
    help: str


METRICS: dict[str, Metric] = {
    f"{_PREFIX}build_info": Metric(("version",), "always 1; the version is the label"),
    f"{_PREFIX}start_time_seconds": Metric((), "when the service started"),
    f"{_PREFIX}jobs": Metric((), "jobs that are waiting or running"),
    f"{_PREFIX}next_run_timestamp_seconds": Metric((), "when the schedule requests the next job"),
    f"{_PREFIX}health": Metric(("meter", "state"), "1 for the state that the meter is in, 0 for the others"),
    f"{_PREFIX}newest_hour_age_seconds": Metric(
        ("meter",), "seconds since the end of the newest hour with data from every clamp or phase"
    ),
    f"{_PREFIX}newest_hour_timestamp_seconds": Metric(("meter",), "the start of that hour"),
    f"{_PREFIX}last_success_timestamp_seconds": Metric(
        ("meter",), "when an answer of the cloud was last saved"
    ),
    f"{_PREFIX}missing_hours": Metric(("meter",), "past hours without data from every clamp or phase"),
    f"{_PREFIX}expiring_days": Metric(("meter",), "incomplete days that the cloud deletes within 30 days"),
    f"{_PREFIX}requests_total": Metric(
        ("account", "outcome"), "requests since the start: `answered`, `rejected`, `failed`"
    ),
    f"{_PREFIX}holds_total": Metric(("account",), "rate-limit pauses since the start"),
    f"{_PREFIX}pace_interval_seconds": Metric(
        ("account",), "the interval between two requests, as adapted to rejections"
    ),
    f"{_PREFIX}publish_up": Metric(
        ("target",), "1 if the last attempt to send hours to the target succeeded, 0 if it failed"
    ),
    f"{_PREFIX}publish_last_success_timestamp_seconds": Metric(
        ("target",), "when hours were last sent to the target"
    ),
}
"""All metrics by name. The names are stable: people build alarms on them."""


def exposition(status: Status | None) -> str:
    """All metrics as text; empty before the first status."""
    lines: dict[str, list[str]] = {name: [] for name in METRICS}
    for name, value, labels in _samples(status) if status else ():
        if value is not None:
            lines[_PREFIX + name].append(f"{_PREFIX}{name}{_labels(labels)} {value!r}")
    parts = [
        line
        for name, samples in lines.items()
        if samples
        for line in (f"# HELP {name} {METRICS[name].help}", f"# TYPE {name} {_type(name)}", *samples)
    ]
    return "".join(f"{line}\n" for line in parts)


def _samples(status: Status) -> Iterator[Sample]:
    yield "build_info", 1, {"version": status.version}
    yield "start_time_seconds", status.started_at, {}
    yield "jobs", status.jobs, {}
    yield "next_run_timestamp_seconds", status.next_run_at, {}
    for name, meter in status.meters.items():
        of_meter = {"meter": name}
        for state in State:
            yield "health", int(meter.state is state), {**of_meter, "state": state.value}
        yield "newest_hour_age_seconds", meter.age_s, of_meter
        yield "newest_hour_timestamp_seconds", meter.newest_hour, of_meter
        yield "last_success_timestamp_seconds", meter.answered_at, of_meter
        # Before the first hour it is unknown since when hours should exist.
        yield "missing_hours", None if meter.newest_hour is None else meter.missing_hours, of_meter
        yield "expiring_days", meter.expiring_days, of_meter
    for name, account in status.accounts.items():
        of_account = {"account": name}
        for outcome, count in account.outcomes.items():
            yield "requests_total", count, {**of_account, "outcome": outcome}
        yield "holds_total", account.holds, of_account
        yield "pace_interval_seconds", account.gap_s, of_account
    for name, target in status.targets.items():
        yield "publish_up", int(target.failure is None), {"target": name}
        yield "publish_last_success_timestamp_seconds", target.sent_at, {"target": name}


def _type(name: str) -> str:
    return "counter" if name.endswith("_total") else "gauge"


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
