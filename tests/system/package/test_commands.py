"""The command line as data: whatever a parser may hold is found."""

from __future__ import annotations

import argparse

from collector.cli import COMMANDS
from deb.commands import Operand, Option, Verb, verbs, verbs_of

HELP = Option(("-h", "--help"), None, (), "show this help message and exit")


def test_every_command_is_found() -> None:
    """In the order of the program."""
    assert [verb.words[0] for verb in verbs() if len(verb.words) == 1] == list(COMMANDS)


def test_options_and_operands_are_told_as_help_tells_them() -> None:
    """Groups or not; what is hidden stays hidden."""
    parser = argparse.ArgumentParser(prog="x")
    parser.add_argument("--port", "-p", type=int, default=7, help="a port (default: %(default)s)")
    parser.add_argument("--secret", help=argparse.SUPPRESS)
    group = parser.add_argument_group("more").add_mutually_exclusive_group()
    group.add_argument("--form", choices=("json", "text"), help="a form")
    group.add_argument("--once", action="store_true", help="100 %% once")
    parser.add_argument("day", nargs="*", metavar="DAY", help="days")
    assert list(verbs_of(("x",), parser, "try")) == [
        Verb(
            ("x",),
            "try",
            (
                HELP,
                Option(("--port", "-p"), "PORT", (), "a port (default: 7)"),
                Option(("--form",), "json|text", ("json", "text"), "a form"),
                Option(("--once",), None, (), "100 % once"),
            ),
            (Operand("[DAY ...]", (), "days"),),
            (),
        )
    ]


def test_actions_within_actions_are_found() -> None:
    """Each by all the words that lead to it."""
    parser = argparse.ArgumentParser(prog="x")
    outer = parser.add_subparsers().add_parser("outer", description="the outer one")
    outer.add_subparsers().add_parser("inner", description="the inner one")
    found = {verb.words: (verb.help, verb.actions) for verb in verbs_of(("x",), parser, "try")}
    assert found == {
        ("x",): ("try", ("outer",)),
        ("x", "outer"): ("the outer one", ("inner",)),
        ("x", "outer", "inner"): ("the inner one", ()),
    }
