"""What the page shows: the answers of `/api/v1`, made from the files. Blocking; nothing is changed.

The shapes are documented in docs/reference/http.md, which is made by systemd/package/deb/http.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from collector import __version__
from collector.archive.folder import OWN_FOLDER, day_files, stamp_of
from collector.energy.daily_totals import decimals_of
from collector.energy.days import Clock, system_timezone
from collector.energy.totals import DayHours, Totals, totals_of
from collector.export.csv_file import row
from collector.overview import ArchiveFiles, History, MeterFiles, as_dict, history_of, status_of
from collector.status import status_file
from collector.web.figures import QUANTITIES, RANGES, Figures, Row, Span

PREFIX = "/api/v1/"
CSV = f"{PREFIX}csv/"
LEAST_DECIMALS = 4

_JSON = "application/json"
_CSV = "text/csv; charset=utf-8"
_STATUS_AGAIN_S = 10  # a status is made at most that often, however many clients there are
_DAYS_AGAIN_S = 900  # an hour ends, and a day begins, at a quarter of an hour in every zone
_ORDINARY = tuple(range(24))
_YEAR = re.compile(r"\d{4}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_HOUR = re.compile(r"[01]\d|2[0-4]")
_LONGEST = timedelta(days=36_525)
_MOST_PARAMETERS = 1000


class NotThere(Exception):
    """Nothing has that address: 404. The text is for the client."""


class WrongRequest(Exception):
    """The address is known, and what is after the ? is wrong: 400. The text is for the client."""


class Resource(NamedTuple):
    """What is at an address: its content type, a tag that changes with it, and how its bytes are made.

    `make` raises `OSError` if files cannot be read.
    """

    content_type: str
    tag: str
    make: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Api:
    """The answers about the meters of an archive, at the clock's time."""

    archive: ArchiveFiles
    clock: Clock
    environ: Mapping[str, str]

    def find(self, path: str, query: str) -> Resource:
        """What is at that path, which begins with `PREFIX`. Raises `NotThere`, `WrongRequest`, `OSError`."""
        if path.startswith(CSV):
            return self._csv(path.removeprefix(CSV), query)
        given = _parameters(_pairs(query))
        match path.removeprefix(PREFIX).split("/"):
            case ["status"]:
                _only(given)
                return self._resource(self.archive.meters, _STATUS_AGAIN_S, "status", self._status)
            case ["meters"]:
                _only(given)
                return self._resource(self.archive.meters, _DAYS_AGAIN_S, "meters", self._meters)
            case ["meters", name, "hours"]:
                files = self._named(name)
                _only(given, "year")
                year = _year(given)
                what = f"hours {year}"
                return self._resource([files], _DAYS_AGAIN_S, what, lambda: self._hours(files, year))
            case ["meters", name, "days"]:
                files = self._named(name)
                _only(given, "since", "until")
                since, until = _day(given, "since", date.min), _day(given, "until", date.max)
                if since > until:
                    raise WrongRequest("since is after until: the range is [since, until)")
                what = f"days {since} {until}"
                return self._resource([files], _DAYS_AGAIN_S, what, lambda: self._days(files, since, until))
        raise NotThere("there are status, meters, meters/NAME/hours?year=YYYY, meters/NAME/days and csv/VIEW")

    def _csv(self, view: str, query: str) -> Resource:
        """The figures of a view of the page."""
        if view not in ("energy", "average-day", "heat-map", "stored-days"):
            raise NotThere("there are csv/energy, csv/average-day, csv/heat-map and csv/stored-days")
        pairs = _pairs(query)
        names = {value for name, value in pairs if name == "meter"}
        given = _parameters([each for each in pairs if each[0] != "meter"])
        for name in names:
            self._named(name)
        meters = [each for each in self.archive.meters if each.meter.name in names]
        if not meters:
            raise WrongRequest("a meter must be named: ?meter=NAME; several are added up")
        rows = _rows_of(view, given)

        def make() -> bytes:
            histories = [self._history(each) for each in meters]
            if len({each.zone.key for each in histories}) > 1:
                raise WrongRequest("only meters in one time zone are added up")
            return "".join(map(row, rows(Figures(histories)))).encode()

        found = self._resource(meters, _DAYS_AGAIN_S, f"csv {view} {query}", make)
        return found._replace(content_type=_CSV)

    def _named(self, name: str) -> MeterFiles:
        for files in self.archive.meters:
            if files.meter.name == name:
                return files
        raise NotThere("no meter has that name: /api/v1/meters lists them")

    def _resource(
        self, meters: Sequence[MeterFiles], again_s: int, what: str, make: Callable[[], bytes]
    ) -> Resource:
        """With a tag from the stamps of these meters' files and the time, in steps of `again_s`."""
        step = int(self.clock().timestamp()) // again_s
        digest = blake2b(f"{__version__} {what} {step} {self._zone().key}".encode(), digest_size=9)
        if again_s == _STATUS_AGAIN_S:
            digest.update(str(_stamp(status_file(self.archive.folder, self.environ))).encode())
        for files in meters:
            digest.update(repr(files).encode())
            digest.update(repr(sorted(_stamps(files))).encode())
        return Resource(_JSON, digest.hexdigest(), make)

    def _zone(self) -> ZoneInfo:
        return system_timezone(self.environ)

    def _history(self, files: MeterFiles) -> History:
        return history_of(files, self._zone(), self.clock())

    def _status(self) -> bytes:
        return json.dumps(as_dict(status_of(self.archive, self.clock(), self.environ))).encode()

    def _meters(self) -> bytes:
        return meters_json([self._history(files) for files in self.archive.meters]).encode()

    def _hours(self, files: MeterFiles, year: int) -> bytes:
        history = self._history(files)
        if year not in years_of(history):
            years = years_of(history)
            raise NotThere(f"no day of {year}: there are {years[0]} to {years[-1]}")
        return hours_text(history, year).encode()

    def _days(self, files: MeterFiles, since: date, until: date) -> bytes:
        history = self._history(files)
        no_solar = files.meter.has_no_solar
        days = [_day_sums(day, totals_of(day, no_solar=no_solar)) for day in history.days(since, until)]
        head = {"meter": files.meter.name, "timezone": history.zone.key}
        return f'{json.dumps(head)[:-1]}, "days": [\n{_joined(days)}\n]}}\n'.encode()


def meters_json(histories: Iterable[History]) -> str:
    """The answer of `meters`."""
    return json.dumps({"meters": [_meter(each) for each in histories]})


def years_of(history: History) -> list[int]:
    """The years with a day that the archive should have, ascending."""
    return sorted({day.year for day in history.states})


def hours_text(history: History, year: int) -> str:
    """The answer of `hours` as JSON."""
    meter = history.files.meter
    days = list(history.days(date(year, 1, 1), date(year + 1, 1, 1)))
    readings = [reading for day in days for reading in day.readings]
    numbers = [value for each in readings if each is not None for value in each if value is not None]
    decimals = max([LEAST_DECIMALS, *map(decimals_of, numbers)])

    def series(place: int) -> str:
        values = (None if each is None else each[place] for each in readings)
        return f"[{','.join('null' if value is None else f'{value:.{decimals}f}' for value in values)}]"

    head = {"meter": meter.name, "year": year, "timezone": history.zone.key, "decimals": decimals}
    solar = "null" if meter.has_no_solar else series(2)
    return (
        f'{json.dumps(head)[:-1]}, "days": [\n{_joined([json.dumps(_day_head(day)) for day in days])}\n],\n'
        f'"import_kwh": {series(0)},\n"export_kwh": {series(1)},\n"solar_kwh": {solar}}}\n'
    )


def _meter(history: History) -> dict[str, Any]:
    files, stored = history.files, history.stored
    return {
        "name": files.meter.name,
        "account": files.account,
        "kind": files.meter.kind.value,
        "solar": not files.meter.has_no_solar,
        "timezone": history.zone.key,
        "first_day": stored[0].isoformat() if stored else None,
        "last_day": stored[-1].isoformat() if stored else None,
        "years": years_of(history),
    }


def _day_head(day: DayHours) -> dict[str, Any]:
    """A day without its energy."""
    hours = len(day.labels)
    head: dict[str, Any] = {"day": day.date.isoformat(), "start": day.start, "hours": hours}
    if day.labels != _ORDINARY:
        head["labels"] = day.labels
    if day.finished < hours:
        head["finished"] = day.finished
    return head | {"state": day.state, "reason": day.reason}


def _day_sums(day: DayHours, sums: Totals) -> str:
    """A day with its sums, as JSON."""
    head = {key: value for key, value in _day_head(day).items() if key != "labels"}
    return f'{json.dumps(head)[:-1]}, "stored_hours": {sums.stored_hours}, {energy_fields(sums)}}}'


def energy_fields(sums: Totals) -> str:
    """The sums as fields of a JSON object, without its braces: kWh with fixed decimals, or null."""
    names = ("import_kwh", "export_kwh", "solar_kwh", "solar_used_kwh", "consumption_kwh")
    return ", ".join(f'"{name}": {number(getattr(sums, name), LEAST_DECIMALS)}' for name in names)


def number(value: Decimal | None, decimals: int) -> str:
    """With that many decimals at least, and never fewer than it has; `null` for `None`."""
    return "null" if value is None else f"{value:.{max(decimals, decimals_of(value))}f}"


def _joined(texts: list[str]) -> str:
    return ",\n".join(texts)


def _stamps(files: MeterFiles) -> list[tuple[str, int]]:
    """What is stored of a meter: each file with its stamp; none if it has no folder yet."""
    try:
        days = day_files(files.folder)
    except FileNotFoundError:
        return []
    own = files.folder / OWN_FOLDER
    return [(str(day), stamp) for day, stamp in days.items()] + [
        (name, _stamp(own / name)) for name in ("ledger.jsonl", "archive.json", "quarantine")
    ]


def _stamp(path: Any) -> int:
    try:
        return stamp_of(path.stat())
    except OSError:
        return 0


def _rows_of(view: str, given: Mapping[str, str]) -> Callable[[Figures], Iterator[Row]]:
    """What makes the rows of a view of the page by these parameters."""
    if view == "stored-days":
        _only(given)
        return Figures.stored_days
    if view == "average-day":
        _only(given, "since", "until")
        span = _span(given)
        return lambda figures: figures.average_day(span)
    if view == "heat-map":
        _only(given, "quantity", "since", "until")
        quantity, span = _one_of(given, "quantity", QUANTITIES), _span(given)
        return lambda figures: figures.heat_map(quantity, span)
    _only(given, "bars", "since", "until", "before_since", "before_until")
    bars, span = _one_of(given, "bars", RANGES), _span(given)
    before = _span(given, "before_") if "before_since" in given or "before_until" in given else None
    return lambda figures: figures.energy(bars, span, before)


def _one_of(given: Mapping[str, str], name: str, known: Collection[str]) -> str:
    if (text := given.get(name, "")) in known:
        return text
    raise WrongRequest(f"{name} must be one of: {', '.join(known)}")


def _span(given: Mapping[str, str], prefix: str = "") -> Span:
    """The days from `since` to `until`; that may have an hour, which is the first one that is not in it."""
    since = _day(given, f"{prefix}since", None)
    name = f"{prefix}until"
    day, _, hour = given.get(name, "").partition("T")
    until = _day({**given, name: day}, name, None)
    if hour and not _HOUR.fullmatch(hour):
        raise WrongRequest(f"{name} must be a date, or a date and an hour: {name}=2026-03-01T15")
    if not timedelta(0) <= until - since <= _LONGEST:
        raise WrongRequest(f"{prefix}since and {name} must be in order, and at most 100 years apart")
    return Span(since, until, int(hour or 0))


def _pairs(query: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        raise WrongRequest("there are too many parameters") from None


def _parameters(pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    if len(dict(pairs)) != len(pairs):
        raise WrongRequest("a parameter is given twice")
    return dict(pairs)


def _only(given: Mapping[str, str], *known: str) -> None:
    if set(given) - set(known):
        raise WrongRequest(f"unknown parameter; known here: {', '.join(known) or 'none'}")


def _year(given: Mapping[str, str]) -> int:
    text = given.get("year", "")
    if not _YEAR.fullmatch(text):
        raise WrongRequest("year must be given as four digits: ?year=2026")
    return int(text)


def _day(given: Mapping[str, str], name: str, otherwise: date | None) -> date:
    """The date that is given; without one, `otherwise`, if that may be."""
    if name not in given and otherwise is not None:
        return otherwise
    try:
        if _DATE.fullmatch(given.get(name, "")):
            return date.fromisoformat(given[name])
    except ValueError:
        pass
    raise WrongRequest(f"{name} must be a date: {name}=2026-03-01")
