"""What `verify` found, for a person and for a machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from collector.archive.findings import Finding
from collector.archive.inspection import Inspection


@dataclass(frozen=True, slots=True)
class MeterReport:
    """One meter: where its files lie, what was found, and what was done about which day."""

    meter: str
    folder: Path
    inspection: Inspection
    actions: Mapping[date, str] = field(default_factory=dict)


def as_dict(reports: list[MeterReport]) -> dict[str, Any]:
    """For `--json`; the README says what each key means."""
    return {
        "meters": [_meter_as_dict(report) for report in reports],
        "findings": sum(len(report.inspection.findings) for report in reports),
    }


def as_lines(reports: list[MeterReport]) -> Iterator[str]:
    """A table of the meters, a line for each finding, and a summary."""
    width = max(5, *(len(report.meter) for report in reports))
    yield f"{'meter':{width}}  {'days':>5}  findings"
    for report in reports:
        inspection = report.inspection
        counts = ", ".join(f"{count} {code}" for code, count in sorted(inspection.counts.items()))
        yield f"{report.meter:{width}}  {len(inspection.days):5}  {counts or 'none'}"
    for report in reports:
        yield from _finding_lines(report)
    yield _summary(reports)


def _meter_as_dict(report: MeterReport) -> dict[str, Any]:
    zone = report.inspection.zone
    return {
        "meter": report.meter,
        "folder": str(report.folder),
        "zone": None if zone is None else zone.key,
        "days": len(report.inspection.days),
        "findings": [
            {
                "day": None if finding.day is None else finding.day.isoformat(),
                "code": finding.code,
                "line": finding.line,
                "text": finding.text,
                "action": None if finding.day is None else report.actions.get(finding.day),
            }
            for finding in report.inspection.findings
        ],
    }


def _finding_lines(report: MeterReport) -> Iterator[str]:
    """One line a finding; of a kind that runs through a whole file the first, and how many more."""
    kinds: dict[tuple[date | None, str], list[Finding]] = {}
    for finding in report.inspection.findings:
        kinds.setdefault((finding.day, finding.code), []).append(finding)
    for (day, code), (first, *more) in kinds.items():
        place = "" if first.line is None else f"line {first.line}: "
        others = f" (and {len(more)} more)" if more else ""
        action = "" if day is None else _ACTIONS.get(report.actions.get(day, ""), "")
        yield f"{report.meter} {day or 'own'!s:10} {code}: {place}{first.text}{others}{action}"


_ACTIONS = {
    "quarantined": "; moved aside, and asked for again where the cloud still has it",
    "kept": "; left in place, for the cloud does not have that day any more",
}


def _summary(reports: list[MeterReport]) -> str:
    days = sum(len(report.inspection.days) for report in reports)
    found = sum(len(report.inspection.findings) for report in reports)
    hurt = sum(any(each.findings for each in report.inspection.days.values()) for report in reports)
    days_hurt = sum(bool(each.findings) for report in reports for each in report.inspection.days.values())
    if not found:
        return f"{days} days checked: all as they should be."
    text = f"{days} days checked: {found} findings in {days_hurt} days."
    if hurt and not any(report.actions for report in reports):
        text += " --fix moves these files aside and has their days collected anew."
    return text
