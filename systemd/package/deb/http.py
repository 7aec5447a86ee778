"""The page docs/reference/http.md: the addresses of the local page, and JSON schemas of the answers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from collector.energy.history import DayState
from deb.markdown import block, table

_KWH = {"type": ["number", "null"], "minimum": 0}
_DATE = {"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"}


class Resource(NamedTuple):
    """An address of `/api/v1`: what it answers, its parameters, and the schema of the answer."""

    answers: str
    parameters: tuple[tuple[str, str], ...]
    schema: dict[str, Any]


def _object(**fields: tuple[dict[str, Any], str]) -> dict[str, Any]:
    """An object of these fields, each with its schema and description; one named `x_` may be absent."""
    return {
        "type": "object",
        "properties": {
            name.removesuffix("_"): {**schema, "description": text} for name, (schema, text) in fields.items()
        },
        "required": [name for name in fields if not name.endswith("_")],
        "additionalProperties": False,
    }


def _list(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


_NAME = ({"type": "string"}, "name of the meter in the configuration")
_ZONE = ({"type": "string"}, "time zone of the meter (IANA): its days are local days of this zone")
_HOURS = {"type": "integer", "minimum": 0, "maximum": 30}
_DAY_HEAD: dict[str, tuple[dict[str, Any], str]] = {
    "day": (_DATE, "the local day"),
    "start": ({"type": "integer"}, "epoch seconds of its first hour"),
    "hours": (_HOURS, "number of its hours: 24, or another when the clocks change"),
    "finished_": (
        _HOURS,
        "how many of its hours are over and expected; only on the last day, while it is in progress. The "
        "last hour is expected if it is stored, or the next one is over",
    ),
    "state": (
        {"enum": [each.value for each in DayState]},
        "state of the day, see [monitoring.md](../monitoring.md#status); `today` is the day in progress",
    ),
    "reason": ({"type": "string"}, "why the day is not complete; empty if it is"),
}
_SERIES = _list(_KWH)

RESOURCES = {
    "/api/v1/meters": Resource(
        "The meters, and for which years there is data.",
        (),
        _object(
            meters=(
                _list(
                    _object(
                        name=_NAME,
                        account=({"type": "string"}, "name of its account in the configuration"),
                        kind=({"enum": ["em", "3em"]}, "`em`: clamps, `3em`: three phases"),
                        solar=({"type": "boolean"}, "whether solar energy is measured"),
                        timezone=_ZONE,
                        first_day=(
                            {**_DATE, "type": ["string", "null"]},
                            "oldest day with a file; `null` without any",
                        ),
                        last_day=(
                            {**_DATE, "type": ["string", "null"]},
                            "newest day with a file; `null` without any",
                        ),
                        years=(_list({"type": "integer"}), "the years that `hours` answers for, ascending"),
                    )
                ),
                "in the order of the configuration",
            )
        ),
    ),
    "/api/v1/meters/NAME/hours": Resource(
        "Every hour of a year.",
        (("year", "required: a year of four digits"),),
        _object(
            meter=_NAME,
            year=({"type": "integer"}, "the year"),
            timezone=_ZONE,
            decimals=({"type": "integer", "minimum": 4, "maximum": 6}, "decimals of each kWh value"),
            days=(
                _list(
                    _object(
                        **_DAY_HEAD,
                        labels_=(
                            _list({"type": "integer", "minimum": 0, "maximum": 23}),
                            "local hour of each of its hours; only if these are not 0 to 23",
                        ),
                    )
                ),
                "each local day of the year, without a gap: from the first one that the archive should have "
                "to today",
            ),
            import_kwh=(
                _SERIES,
                "energy from the grid in each hour of all `days`, in order; `null`: not stored",
            ),
            export_kwh=(_SERIES, "energy to the grid, likewise"),
            solar_kwh=(
                {**_SERIES, "type": ["array", "null"]},
                "solar energy, likewise; `null` for a meter without solar",
            ),
        ),
    ),
    "/api/v1/meters/NAME/days": Resource(
        "The sums of each day.",
        (
            ("since", "the first day, like 2026-01-01 (default: the first)"),
            ("until", "the day after the last one (default: to today)"),
        ),
        _object(
            meter=_NAME,
            timezone=_ZONE,
            days=(
                _list(
                    _object(
                        **_DAY_HEAD,
                        stored_hours=(_HOURS, "hours that have import and export"),
                        import_kwh=(_KWH, "sum over these hours; `null` without any"),
                        export_kwh=(_KWH, "likewise"),
                        solar_kwh=(_KWH, "sum over the hours that have solar, too; `null` without any"),
                        solar_used_kwh=(_KWH, "solar energy that was not exported, over the same hours"),
                        consumption_kwh=(_KWH, "import and `solar_used_kwh`, over the same hours"),
                    )
                ),
                "each local day, without a gap",
            ),
        ),
    ),
}
_DAYS = "`since`, `until`"
CSV = [
    (
        "`/api/v1/csv/energy`",
        "Sums of hours (`bars=day`), days (`week`, `month`), months (`year`) or years (`all`).",
        f"`bars`, {_DAYS}; for the columns of the year before `before_since`, `before_until`",
    ),
    (
        "`/api/v1/csv/average-day`",
        "The mean of each hour of the day, weekdays and weekends apart; only hours with all quantities.",
        _DAYS,
    ),
    (
        "`/api/v1/csv/heat-map`",
        "A row for each day, with its hours 0 to 23; hours that the clock repeats are added.",
        f"`quantity`: `consumption`, `solar`, `imported` or `exported`; {_DAYS}",
    ),
    ("`/api/v1/csv/stored-days`", "The days that are not complete, with the reasons, newest first.", "none"),
]
ERROR = _object(error=({"type": "string"}, "the reason, for people"))


def page() -> Iterator[str]:
    """The blocks of the page."""
    yield "# HTTP\n"
    yield (
        "What the service answers on the address in `listen` of [`[web]`](settings.md#web). Everything is "
        "read-only: the methods are GET and HEAD. No cookies. A path that begins like none of these is 404.\n"
    )
    rows = [
        ("`/`, `/static/…`", "the page for browsers"),
        ("`/healthz`", "the state, for monitors: [monitoring.md](../monitoring.md#http-endpoint)"),
        ("`/metrics`", "for Prometheus: [metrics.md](metrics.md)"),
        ("`/api/v1/status`", "the same as `status --json`: [json-output.md](../json-output.md#status)"),
    ]
    rows += [(f"`{address}`", resource.answers) for address, resource in RESOURCES.items()]
    rows += [(address, answers) for address, answers, _ in CSV]
    yield table(("address", "answer"), rows)
    yield "## Rules\n"
    yield table(
        ("subject", "rule"),
        [
            (
                "energy",
                "kWh with 4 to 6 decimals, as stored. A missing hour is `null`, never 0. Sums are exact",
            ),
            ("time", "epoch seconds of the start of an hour. Days are local days of the meter"),
            (
                "consumption",
                "hour by hour, as in the day files: solar energy used here is `max(0, solar - export)`, "
                "consumption is that plus import",
            ),
            (
                "rates",
                "self-consumption is solar energy used here / solar energy; self-sufficiency is solar energy "
                "used here / consumption. Both over hours that have all three quantities",
            ),
            (
                "caching",
                "answers have an `ETag`; with `If-None-Match` the status is 304 while nothing changed",
            ),
            ("compression", "gzip, if `Accept-Encoding` allows it"),
            (
                "errors",
                "400: wrong parameters. 404: no such address, meter or year. 503: the files cannot be read. "
                'The body is `{"error": "…"}`',
            ),
            (
                "password",
                "with `password_file`, every address needs it (HTTP Basic, any user name): else 401. After "
                "wrong ones, further attempts from the same address wait longer and longer, then: 429",
            ),
            (
                "host names",
                "addresses, `localhost`, and the `names` under `[web]`; a request for any other name is 403",
            ),
            (
                "limits",
                "a request of 16 kB; 10 seconds to send it, and to read the answer; 32 connections at once, "
                "one request each",
            ),
        ],
    )
    for address, resource in RESOURCES.items():
        yield f"## `{address}`\n"
        yield f"{resource.answers}\n"
        if resource.parameters:
            rows = [(f"`{name}`", meaning) for name, meaning in resource.parameters]
            yield table(("parameter", "meaning"), rows)
        yield "The answer by its JSON schema:\n"
        yield block(json.dumps(resource.schema, indent=1, ensure_ascii=False), "json")
    yield "## `/api/v1/csv`\n"
    yield (
        "What the tables of the page show, written as `export csv` writes it: with `.` as the decimal sign, "
        "and an empty field where a value is missing.\n"
    )
    yield table(("address", "parameters besides `meter`"), [(address, known) for address, _, known in CSV])
    yield (
        "All are required, but for `before_since` and `before_until`. `meter` is the name of a meter. If it "
        "is given several times, these meters are added up hour by hour, each from its first stored day on; "
        "they must be in one time zone. The days are `[since, until)`. `until` may have an hour, like "
        "2026-03-01T15: then the hours of that day before 15:00 are included.\n"
    )
