"""The documents: every command, flag, setting, event and exit code stands in the README."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.cli import COMMANDS, exits, parser_of
from collector.energy.knowledge import Outcome
from collector.events import EVENTS
from collector.service import troubles
from collector.settings.schema import TABLES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLE = (ROOT / "config" / "collector.toml").read_text()
LEVELS = {"debug", "info", "warning", "error", "exception"}


def logged_events() -> Iterator[str]:
    """The names of all events that the program logs, found in its source."""
    for path in (ROOT / "collector").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                owner, _, level = ast.unparse(node.func).rpartition(".")
                if level == "tell" or (level in LEVELS and "log" in owner):
                    yield str(node.args[0].value)
    yield from (f"day.{outcome}" for outcome in Outcome)
    for trouble in vars(troubles).values():
        if isinstance(trouble, troubles.Trouble):
            yield from (trouble.down, trouble.up)
    yield "library.reported"


def test_the_list_of_events_is_complete_and_has_no_other() -> None:
    """People build alarms on them."""
    assert set(logged_events()) == set(EVENTS)


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_is_explained(event: str) -> None:
    """In the README's table, in the words of the list."""
    assert f"| `{event}` | {EVENTS[event]} |" in README


@pytest.mark.parametrize(("code", "meaning"), exits.MEANINGS.items())
def test_every_exit_code_is_explained(code: int, meaning: str) -> None:
    """In the README's table."""
    assert f"| {code} | {meaning} |" in README


def test_every_exit_code_has_a_meaning() -> None:
    """None is forgotten."""
    codes = {value for name, value in vars(exits).items() if name.isupper() and isinstance(value, int)}
    assert codes == set(exits.MEANINGS)


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


def test_the_release_is_in_the_changelog() -> None:
    """The newest heading is this version."""
    from collector import __version__

    headings = [line for line in (ROOT / "CHANGELOG.md").read_text().splitlines() if line.startswith("## ")]
    assert headings[0].startswith(f"## {__version__}")
