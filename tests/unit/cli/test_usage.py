"""Wrong usage: the parser's message for a value that it cannot read."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pytest

from collector.cli import COMMANDS, parser_of


def _with_a_type(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The flags whose values are read, and may be wrong."""
    for action in parser._actions:  # argparse has no public list of them
        if action.type is not None and getattr(action.type, "__module__", "").startswith("collector"):
            yield action.option_strings[0]


FLAGS = [(name, flag) for name in COMMANDS for flag in _with_a_type(parser_of(name))]


def test_the_flags_with_values_of_their_own_are_found() -> None:
    assert {"--days", "--since", "--max-age", "--port"} <= {flag for _, flag in FLAGS}


@pytest.mark.parametrize(("name", "flag"), FLAGS)
@pytest.mark.parametrize("value", ["x", "", "-", "1e", "2024-13-01", "99999999999"])
def test_a_wrong_value_is_answered_in_the_users_words(
    name: str, flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: `invalid _days value: 'x'`, the name of one of our functions."""
    with pytest.raises(SystemExit, match="2"):
        parser_of(name).parse_args([f"{flag}={value}"])
    error = capsys.readouterr().err.splitlines()[-1]
    assert f"argument {flag}: " in error
    assert " value: " not in error
    assert "must be" in error
