"""The results of `verify` as text and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from collector.archive.folder import OWN_FOLDER
from collector.collect.outages import OutageError
from collector.energy.daily_totals import DaySums, Difference
from collector.events import CURES


class Finding(NamedTuple):
    """One thing that is wrong: a code, the file's line if there is one, a text.

    `day` is `None` if it is not about a day's file.
    """

    day: date | None
    code: str
    line: int | None
    text: str


@dataclass(frozen=True, slots=True)
class CheckedDay:
    """The findings of one file; if it could be read, also its sums, and its first and last hour (`edges`).

    Of these the epoch seconds, and the `datetime` as if it were UTC.
    """

    findings: tuple[Finding, ...]
    complete: bool = False
    sums: DaySums | None = None
    edges: tuple[tuple[int, datetime], tuple[int, datetime]] | None = None


class Action(StrEnum):
    """What was done about a day's file."""

    QUARANTINED = "quarantined"  # in the quarantine; the day is requested again
    KEPT = "kept"  # its day cannot be fetched again, and some of the file can be read
    FORGOTTEN = "forgotten"  # its checksum was removed; the day is requested again


_ACTIONS = {
    Action.QUARANTINED: "; moved to the quarantine; its day is fetched again if the cloud still has it",
    Action.KEPT: "; left in place: its day cannot be fetched again",
    Action.FORGOTTEN: "; removed from the records; its day is fetched again if the cloud still has it",
}


class Unanswered(NamedTuple):
    """Days without usable totals, and the reason."""

    first: date
    last: date
    reason: str


@dataclass(slots=True)
class Comparison:
    """One meter's stored days compared with the cloud's totals.

    `complete_days` of the `days` compared are complete. `uncertain`: days with an ambiguous tariff 0 or an
    impossible total. `distrusted`: why no day is requested again, if too many differ. `gave_up`: the error
    that ended the comparison early.
    """

    days: int = 0
    complete_days: int = 0
    requests: int = 0
    different: dict[date, tuple[Difference, ...]] = field(default_factory=dict)
    uncertain: list[date] = field(default_factory=list)
    unanswered: list[Unanswered] = field(default_factory=list)
    distrusted: str = ""
    gave_up: OutageError | None = None


@dataclass(frozen=True, slots=True)
class MeterReport:
    """One meter's folder: the findings, newest first, the actions, and the comparison with the cloud.

    `zone` is `None` if it is not known. `days` are those with a file. `quarantined`: the number of files in
    the quarantine. `unknown_zone` is the recorded name of a zone that this machine does not know; no finding,
    because the files may be right.
    """

    folder: Path
    zone: ZoneInfo | None = None
    days: Mapping[date, CheckedDay] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    quarantined: int = 0
    unknown_zone: str | None = None
    meter: str = ""
    actions: Mapping[date, Action] = field(default_factory=dict)
    comparison: Comparison | None = None

    @property
    def has_findings(self) -> bool:
        """Whether there are findings, differences from the cloud, or days that could not be compared."""
        compared = self.comparison
        return bool(self.findings or (compared is not None and (compared.different or compared.unanswered)))


def as_json(reports: list[MeterReport]) -> str:
    """For `--json`; docs/json-output.md has what each key means."""
    content = {
        "meters": [_meter_as_dict(report) for report in reports],
        "findings": sum(len(report.findings) for report in reports),
    }
    return json.dumps(
        content, default=lambda value: float(value) if isinstance(value, Decimal) else str(value)
    )


def as_lines(reports: list[MeterReport]) -> Iterator[str]:
    """A table of the meters, a line for each finding, newest first, and a summary."""
    width = max(5, *(len(report.meter) for report in reports))
    yield f"{'meter':{width}}  {'days':>5}  findings"
    for report in reports:
        counts = Counter(finding.code for finding in report.findings)
        codes = ", ".join(f"{count} {code}" for code, count in sorted(counts.items()))
        yield f"{report.meter:{width}}  {len(report.days):5}  {codes or 'none'}"
        if report.unknown_zone is not None:
            is_left_out = report.zone is None
            how = "checks that need it were left out" if is_left_out else "the configured one is used"
            yield f"{report.meter}: its time zone {report.unknown_zone} is unknown to this machine; {how}"
            yield f"  {CURES['zone.unknown']}"
    for report in reports:
        if count := report.quarantined:
            place = report.folder / OWN_FOLDER / "quarantine"
            files = "1 damaged file is" if count == 1 else f"{count} damaged files are"
            yield f"{report.meter}: {files} in {place}"
    for report in reports:
        yield from _finding_lines(report)
        if report.comparison is not None:
            yield from _cloud_lines(report.meter, report.comparison)
    yield _summary(reports)


def _meter_as_dict(report: MeterReport) -> dict[str, Any]:
    """Dates, folders, zones and errors become text when it is written, kWh become numbers.

    The fields of `Finding`, `Difference` and `Unanswered` are keys as they are: their names must not change.
    """
    actions, compared = report.actions, report.comparison
    return {
        "meter": report.meter,
        "folder": report.folder,
        "zone": report.zone,
        "days": len(report.days),
        "quarantined": report.quarantined,
        "findings": [
            {**each._asdict(), "action": None if each.day is None else actions.get(each.day)}
            for each in report.findings
        ],
        "cloud": None if compared is None else _comparison_as_dict(compared),
    }


def _comparison_as_dict(comparison: Comparison) -> dict[str, Any]:
    return {
        "days": comparison.days,
        "requests": comparison.requests,
        "differences": [
            {"day": day, **each._asdict()} for day, found in comparison.different.items() for each in found
        ],
        "uncertain": comparison.uncertain,
        "unanswered": [each._asdict() for each in comparison.unanswered],
        "distrusted": comparison.distrusted or None,
        "gave_up": comparison.gave_up,
    }


def _finding_lines(report: MeterReport) -> Iterator[str]:
    """One line for each code and day: the first finding, and the number of others."""
    kinds: dict[tuple[date | None, str], list[Finding]] = {}
    for finding in report.findings:
        kinds.setdefault((finding.day, finding.code), []).append(finding)
    for (day, code), (first, *more) in kinds.items():
        subject = report.meter if day is None else f"{report.meter} {day}"
        place = "" if first.line is None else f"line {first.line}: "
        others = f" (and {len(more)} more)" if more else ""
        action = report.actions.get(day) if day else None
        yield f"{subject} {code}: {place}{first.text}{others}{_ACTIONS[action] if action else ''}"


def _cloud_lines(meter: str, comparison: Comparison) -> Iterator[str]:
    for day, found in comparison.different.items():
        numbers = ", ".join(
            f"{each.column}: file {each.stored_kwh:.4f} kWh, cloud {each.cloud_kwh:.4f} kWh" for each in found
        )
        again = "" if comparison.distrusted else "; will be fetched again in the next run"
        yield f"{meter} {day} cloud: {numbers}{again}"
    if comparison.distrusted:
        yield (
            f"{meter} cloud: {comparison.distrusted}. That many suggest wrong settings, so no day is "
            f"fetched again. {CURES['totals.distrusted']}"
        )
    for each in comparison.unanswered:
        yield f"{meter} {each.first} to {each.last} cloud: not compared: {each.reason}"
    if comparison.uncertain:
        count, newest = len(comparison.uncertain), comparison.uncertain[0]
        why = "an impossible total, or a tariff 0 that may be the remainder or the total"
        yield f"{meter} cloud: {count} days not compared, the newest {newest}: {why}"


def _summary(reports: list[MeterReport]) -> str:
    days = sum(len(report.days) for report in reports)
    found = sum(len(report.findings) for report in reports)
    days_with_findings = sum(len({each.day for each in report.findings} - {None}) for report in reports)
    if not days and not found:
        return f"no day files found in {', '.join(report.meter for report in reports)}."
    compared = [report.comparison for report in reports if report.comparison is not None]
    text = f"{days} days checked: "
    if found:
        text += f"{found} findings, in {days_with_findings} days."
    else:
        text += "no problems in the files." if compared else "no problems found."
    if days_with_findings and not any(report.actions for report in reports):
        text += " --fix moves these files to the quarantine, so that their days are fetched again."
    return text + (_cloud_summary(compared) if compared else "")


def _cloud_summary(comparisons: list[Comparison]) -> str:
    compared = sum(each.days for each in comparisons)
    different = sum(len(each.different) for each in comparisons)
    requests = sum(each.requests for each in comparisons)
    is_partly = any(each.gave_up is not None or each.unanswered for each in comparisons)
    if is_partly and not compared:
        return f" The comparison with the cloud FAILED: no day was compared, in {requests} requests."
    rest = " The comparison is INCOMPLETE: other days could not be compared." if is_partly else ""
    return f" {compared} days compared with the cloud in {requests} requests: {different} differ.{rest}"
