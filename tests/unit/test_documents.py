"""The documents: every command, flag, setting, event and exit code stands in the README."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from collector.cli import COMMANDS, exits, parser_of
from collector.cli.starting import code_of
from collector.cli.status import as_dict
from collector.collect import outages
from collector.doctor.checks import NAMES
from collector.energy.history import DayState, Outcome
from collector.errors import RateLimited, Rejected, SourceError, Unavailable
from collector.events import CURES, EVENTS
from collector.service.overview import MeterOverview, Overview
from collector.settings.schema import TABLES
from collector.status import AccountStanding, Failure, Health, Standing, State
from collector.verify.files import CODES
from collector.web.endpoint import health_of
from collector.web.metrics import METRICS
from tests.support.documented import installing
from tests.support.statuses import standing_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / "config" / "collector.toml").read_text()
LEVELS = {"debug", "info", "warning", "error", "exception"}


def logged_events() -> Iterator[str]:
    """The names of all events that the program logs, found in its source."""
    for path in (ROOT / "collector").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                owner, _, level = ast.unparse(node.func).rpartition(".")
                if level in ("log", "tell") or (level in LEVELS and "log" in owner):
                    yield str(node.args[0].value)
    yield from (f"day.{outcome}" for outcome in Outcome)
    for kind in vars(outages).values():
        if isinstance(kind, outages.Outage):
            yield from (kind.started, kind.ended)
    yield "library.reported"


def test_the_list_of_events_is_complete_and_has_no_other() -> None:
    """People build alarms on them."""
    assert set(logged_events()) == set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_explained(event: str) -> None:
    """In the README's table, in the words of the list."""
    assert f"| `{event}` | {EVENTS[event]} |" in README


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_explained(name: str) -> None:
    """In the README's table, with its labels, in the words of the list."""
    metric = METRICS[name]
    labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
    assert f"| `{name}{labels}` | {metric.help} |" in README


@pytest.mark.parametrize(("code", "meaning"), CODES.items())
def test_every_finding_is_explained(code: str, meaning: str) -> None:
    """In the README's table, in the words of the list."""
    assert f"| `{code}` | {meaning} |" in README


@pytest.mark.parametrize(("code", "meaning"), exits.MEANINGS.items())
def test_every_exit_code_is_explained(code: int, meaning: str) -> None:
    """In the README's table."""
    assert f"| {code} | {meaning} |" in README


def test_every_exit_code_has_a_meaning() -> None:
    """None is forgotten."""
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == set(exits.MEANINGS)


@pytest.mark.parametrize(
    ("error", "words"),
    [(Rejected("404"), "rejects every day"), (RateLimited("429"), "429"), (Unavailable("x"), "be reached")],
)
def test_what_ended_a_command_was_not_in_the_meaning_of_its_code(error: SourceError, words: str) -> None:
    """Bug: a cloud that rejects every day, and one that asks to wait for long."""
    assert words in exits.MEANINGS[code_of(error)]


@pytest.mark.parametrize("key", ["min_interval_s", "max_in_flight"])
def test_the_pace_was_said_to_be_of_an_account(key: str) -> None:
    """Bug: the documents contradicted each other. It belongs to host and key, as the pacer has it."""
    (row,) = [line for line in README.splitlines() if line.startswith("|") and f"| `{key}` |" in line]
    comment = EXAMPLE.partition(f"\n{key} = ")[0].rpartition(" = ")[2]
    for text in (row, comment):
        assert "with one host and key" in text
        assert "account" not in text


@pytest.mark.parametrize(
    "words",
    [
        "once a week where the cloud refused them",
        "once a week, not daily, and never called lost",
        "each gets a share of the time for a request",
        "(`Retry-After`, up to an hour)",
    ],
)
def test_a_promise_was_kept_and_not_in_the_readme(words: str) -> None:
    """Bug: a user could not know what to expect."""
    assert words in " ".join(README.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_is_explained(name: str) -> None:
    """A heading each, and its flags below."""
    assert f"`{name}" in README
    flags = {
        word
        for action in parser_of(name)._actions  # argparse has no public list of them
        for word in action.option_strings[:1]
        if word.startswith("--")
    }
    assert all(f"`{flag}" in README for flag in flags), flags


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, setting.key) for kind, table in TABLES.items() for setting in table]
)
def test_every_setting_is_explained(kind: str, key: str) -> None:
    """In the README's table and, with its default, in the example configuration."""
    assert f"`{key}`" in README
    assert f"\n{key} = " in EXAMPLE or f"\n# {key} = " in EXAMPLE, kind


@pytest.mark.parametrize("state", DayState)
def test_every_state_of_a_day_is_explained(state: DayState) -> None:
    """Where `status` is."""
    assert state is DayState.TODAY or f"| {state.value.replace('_', ' ')} |" in README


def test_every_field_of_the_overview_is_explained() -> None:
    """`status --json` is read by machines."""
    meter = MeterOverview(
        "x", ZoneInfo("UTC"), Health(State.GOOD, 1), 1, 1, 1, 1, {}, 1, (), None, 1, Failure("x", 1, "x"),
        is_held=False, quarantined=1,
    )  # fmt: skip
    accounts = {"x": AccountStanding(trouble=Failure("x", 1, "x"))}
    standing = Standing("1", 1, 1, 1, "", accounts=accounts)
    now = datetime(2026, 3, 20, tzinfo=UTC)
    seen = as_dict(Overview(now, ZoneInfo("UTC"), runs=True, standing=standing, meters=(meter,)))
    assert all(f"`{key}`" in README for key in _keys_of(seen)), seen


def _keys_of(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key not in set(DayState):
                yield key
            yield from _keys_of(each)
    for each in value if isinstance(value, list) else ():
        yield from _keys_of(each)


@pytest.mark.parametrize("event", CURES)
def test_a_cure_is_for_an_event_that_there_is(event: str) -> None:
    """And is a sentence."""
    assert event in EVENTS
    assert CURES[event].endswith(".")


@pytest.mark.parametrize("check", NAMES)
def test_every_check_of_doctor_is_explained(check: str) -> None:
    """In the README's table, in the words of the list."""
    assert f"| `{check}` | {NAMES[check]} |" in README


def test_upgrades_are_explained_in_the_terms_of_the_installation() -> None:
    """A new Python of the system's breaks what was installed by hand: the README says how to make it anew."""
    section = README.partition("\n## Upgrades\n")[2].partition("\n## ")[0]
    lines = [line for block in section.split("```sh\n")[1:] for line in block.split("```")[0].splitlines()]
    made, *_ = installing().splitlines()
    assert made.replace("-m venv", "-m venv --clear") in lines
    assert made.partition(" && ")[2] in lines
    unit = next(line for line in installing().splitlines() if line.endswith(" /etc/systemd/system/"))
    assert unit in lines
    assert "No module named 'collector'" in section


def test_the_release_is_in_the_changelog() -> None:
    """The newest heading is this version."""
    from collector import __version__

    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].startswith(f"## {__version__}")


def test_the_health_page_is_shown_as_it_is() -> None:
    """Its JSON in the README has the keys that the page has, no more and no less."""
    (shown,) = [json.loads(line) for line in README.splitlines() if line.startswith('{"state":')]
    _, told = health_of(standing_of())
    assert shown.keys() == told.keys()
    assert shown["meters"].keys() == told["meters"].keys()
    assert shown["meters"]["house"].keys() == told["meters"]["house"].keys()
