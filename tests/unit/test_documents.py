"""The documents: the reference is current, every field is explained, and what the pages name is there."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path

import pytest

from collector.cli import COMMANDS, exits
from collector.cli.starting import code_of
from collector.collect import outages
from collector.doctor.checks import NAMES
from collector.energy.history import DayState, Outcome
from collector.errors import RateLimited, Rejected, SourceError, Unavailable
from collector.events import CURES, EVENTS
from collector.overview import as_dict
from collector.settings.schema import TABLES
from collector.status import AccountStatus, Failure, MeterStatus, Status, TargetStatus
from collector.verify.files import CODES
from collector.web.endpoint import health_of
from collector.web.metrics import METRICS
from deb.reference import COMMAND, pages
from tests.support.documented import installing
from tests.support.sources import tree_of
from tests.support.statuses import status_of

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / "config" / "collector.toml").read_text()
DOCS = ROOT / "docs"
WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]
"""The pages that are not generated."""
GENERATED = pages()
LEVELS = {"debug", "info", "warning", "error", "exception"}


def logged_events() -> Iterator[str]:
    """The names of all events that the program logs, found in its source."""
    for path in (ROOT / "collector").rglob("*.py"):
        tree = tree_of(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                owner, _, level = ast.unparse(node.func).rpartition(".")
                if level in ("log", "tell") or (level in LEVELS and "log" in owner):
                    yield from texts_of(node.args[0], tree)
    yield from (f"day.{outcome}" for outcome in Outcome)
    for kind in vars(outages).values():
        if isinstance(kind, outages.Outage):
            yield from (kind.started, kind.ended)
    yield "library.reported"


def texts_of(value: ast.expr, tree: ast.Module) -> Iterator[str]:
    """The texts that a value may be: it is one, one of two, or a name to which such a value is assigned."""
    match value:
        case ast.Constant(str(text)):
            yield text
        case ast.IfExp(body=first, orelse=second):
            yield from (*texts_of(first, tree), *texts_of(second, tree))
        case ast.Name(name):
            for node in ast.walk(tree):
                if isinstance(node, ast.Assign) and [ast.unparse(each) for each in node.targets] == [name]:
                    yield from texts_of(node.value, tree)


def test_the_list_of_events_is_complete_and_has_no_other() -> None:
    """People build alarms on them."""
    assert set(logged_events()) == set(EVENTS)


@pytest.mark.parametrize("name", GENERATED)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """A page is written by a command, not by hand."""
    stored = DOCS / "reference" / name
    assert stored.exists() and stored.read_text() == GENERATED[name], f"it is old: run {COMMAND}"


def test_no_other_page_is_in_the_reference() -> None:
    """It would become old, and no test would notice."""
    assert {path.name for path in (DOCS / "reference").iterdir()} == set(GENERATED)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("events.md", EVENTS),
        ("metrics.md", METRICS),
        ("commands.md", [*CODES, *NAMES, *COMMANDS]),
        ("settings.md", [setting.key for table in TABLES.values() for setting in table]),
        ("exit-codes.md", [str(code) for code in exits.MEANINGS]),
    ],
)
def test_every_name_is_in_the_reference(page: str, names: Iterable[str]) -> None:
    """In the first column of a table, or in a heading."""
    first = re.findall(r"^(?:\| |## )`?([\w.-]+)", GENERATED[page], re.MULTILINE)
    assert set(names) <= set(first)


@pytest.mark.parametrize(("path", "most"), [("README.md", 180), ("CONTRIBUTING.md", 80)])
def test_a_page_to_begin_with_is_short(path: str, most: int) -> None:
    """Everything else has a page of its own."""
    assert len((ROOT / path).read_text().splitlines()) <= most


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading in it."""
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", page.read_text()):
        path = page.parent / target if target else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), f"{target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The headings of a page, as a link names them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", WRITTEN, ids=lambda path: path.name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    """Modules move; a page that names one has to follow."""
    named = re.findall(r"`((?:collector|tests|systemd|config|docs)/[\w./-]+)`", page.read_text())
    inside = re.findall(
        r"`((?:archive|cli|cloud|collect|doctor|energy|service|settings|web)/[\w.]+)`", page.read_text()
    )
    places = [ROOT / "collector", ROOT / "tests"]
    missing = [path for path in named if not (ROOT / path).exists()]
    missing += [
        path
        for path in inside
        if not any((place / f"{path.removesuffix('.py')}.py").exists() for place in places)
    ]
    assert missing == []


def test_every_function_that_is_named_is_there() -> None:
    """In the page that explains the program."""
    source = "".join(path.read_text() for path in (ROOT / "collector").rglob("*.py"))
    named = re.findall(r"`(\w+)\(\)`", (DOCS / "architecture.md").read_text())
    assert named
    assert [name for name in named if f"def {name}(" not in source] == []


@pytest.mark.parametrize(
    "event", re.findall(r"^\| `(\w+\.\w+)`", (DOCS / "troubleshooting.md").read_text(), re.MULTILINE)
)
def test_an_event_to_act_on_is_one_that_there_is(event: str) -> None:
    """Its name may not be mistyped."""
    assert event in EVENTS


def test_every_event_with_something_to_do_is_in_the_table_of_those() -> None:
    """What to do is longer there; a day that failed is requested again, and needs no row."""
    listed = re.findall(r"`(\w+\.\w+)`", (DOCS / "troubleshooting.md").read_text())
    assert set(CURES) <= set(listed)


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
    (row,) = [line for line in GENERATED["settings.md"].splitlines() if line.startswith(f"| `{key}` |")]
    comment = EXAMPLE.partition(f"\n{key} = ")[0].rpartition(" = ")[2]
    for text in (row, comment):
        assert "with one host and key" in text
        assert "account" not in text


@pytest.mark.parametrize(
    "words",
    [
        "once a week where the cloud refused them",
        "once a week, not daily, and never reported as lost",
        "all of them are tried within the time of one request",
        "(`Retry-After`, up to an hour)",
    ],
)
def test_a_promise_was_kept_and_in_no_document(words: str) -> None:
    """Bug: a user could not know what to expect."""
    assert words in " ".join((DOCS / "day-files.md").read_text().split())


@pytest.mark.parametrize(
    ("kind", "key"), [(kind, setting.key) for kind, table in TABLES.items() for setting in table]
)
def test_every_setting_is_in_the_example(kind: str, key: str) -> None:
    """With its default."""
    assert f"\n{key} = " in EXAMPLE or f"\n# {key} = " in EXAMPLE, kind


@pytest.mark.parametrize("state", DayState)
def test_every_state_of_a_day_is_explained(state: DayState) -> None:
    """Where `status` is."""
    page = (DOCS / "monitoring.md").read_text()
    assert state is DayState.TODAY or f"| {state.value.replace('_', ' ')} |" in page


def test_every_field_of_the_overview_is_explained() -> None:
    """`status --json` is read by machines."""
    failure = Failure("x", 1, "x")
    meter = MeterStatus(failure=failure, states={date(2026, 3, 20): DayState.TODAY})
    accounts = {"x": AccountStatus(trouble=failure)}
    targets = {"x": TargetStatus("influx", 1, failure)}
    seen = as_dict(Status("1", 1, 1, 1, "", accounts=accounts, meters={"x": meter}, targets=targets))
    page = (DOCS / "json-output.md").read_text()
    assert all(f"`{key}`" in page for key in _keys_of(seen)), seen


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


def test_the_picture_of_a_status_has_the_words_of_the_command() -> None:
    """Also when these change: what is no number or name in it is in the source."""
    _, _, shown = README.partition("$ shelly-collector status")
    picture = shown.partition("\n         1  ")[0].partition("\n")[2]
    modules = ("cli/status.py", "overview.py", "status.py")
    source = "".join((ROOT / "collector" / path).read_text() for path in modules)
    source += " ".join(DayState)
    pieces = (piece.strip() for piece in re.split(r"[\d:(),-]+|\s{2,}|\n|house|demo|min(?= ago)", picture))
    words = {piece for piece in pieces if piece}
    assert "service" in words
    assert [piece for piece in sorted(words) if piece not in source] == []


def test_upgrades_are_explained_in_the_terms_of_the_installation() -> None:
    """A new Python of the system's breaks what was installed by hand: the page says how to make it again."""
    page = (DOCS / "install.md").read_text()
    section = page.partition("\n## Upgrades\n")[2].partition("\n## ")[0]
    lines = [line for block in section.split("```sh\n")[1:] for line in block.split("```")[0].splitlines()]
    made, *_ = installing().splitlines()
    assert made.replace("-m venv", "-m venv --clear") in lines
    assert made.partition(" && ")[2] in lines
    unit = next(line for line in installing().splitlines() if line.endswith(" /etc/systemd/system/"))
    assert unit in lines
    assert "No module named 'collector'" in section


def test_uninstalling_names_all_that_installing_made() -> None:
    """By hand: each path of the lines that install is in the section that removes it."""
    page = (DOCS / "install.md").read_text()
    section = page.partition("\n## Uninstalling\n")[2]
    made = re.findall(r"(?<=\s)(/(?:opt|usr|etc)/[\w./-]+)", installing())
    folders = ("/opt/shelly-collector", "/etc/shelly-collector")  # removed as a whole
    assert all(f"rm -r {folder}" in section for folder in folders)
    left = [path for path in made if not path.startswith(folders)]
    assert left
    assert [path for path in left if path.rstrip("/") not in section] == []


def test_the_release_is_in_the_changelog() -> None:
    """The newest heading is this version."""
    from collector import __version__

    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].startswith(f"## {__version__}")


def test_the_health_page_is_shown_as_it_is() -> None:
    """Its JSON in the document has the keys that the page has, no more and no less."""
    page = (DOCS / "monitoring.md").read_text()
    (shown,) = [json.loads(line) for line in page.splitlines() if line.startswith('{"state":')]
    _, told = health_of(status_of())
    assert shown.keys() == told.keys()
    assert shown["meters"].keys() == told["meters"].keys()
    assert shown["meters"]["house"].keys() == told["meters"]["house"].keys()
