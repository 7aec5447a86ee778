"""The command line as data: every command and action, with its options, read from the parsers.

The only place that looks into argparse, which has no public list of what was added to a parser.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass

from collector.cli import COMMANDS, PROGRAM, parser_of


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its spellings, the word for its value (none for a switch), the values it may have."""

    flags: tuple[str, ...]
    value: str | None
    choices: tuple[str, ...]
    help: str

    @property
    def offered(self) -> str:
        """The spelling that a completion offers: the first long one."""
        return next((flag for flag in self.flags if flag.startswith("--")), self.flags[0])

    @property
    def spelled(self) -> str:
        """All spellings, and the word for the value."""
        spellings = ", ".join(self.flags)
        return spellings if self.value is None else f"{spellings} {self.value}"


@dataclass(frozen=True, slots=True)
class Operand:
    """One word without an option, as the usage shows it: `DAY`, `[DAY ...]`."""

    usage: str
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True, slots=True)
class Verb:
    """What can be given to the program: `("backfill",)`, `("config", "check")`.

    `actions` are the words that must follow; a verb with actions has no work of its own.
    """

    words: tuple[str, ...]
    help: str
    options: tuple[Option, ...]
    operands: tuple[Operand, ...]
    actions: tuple[str, ...]

    @property
    def usage(self) -> str:
        """How it is typed, in one line."""
        words = [PROGRAM, *self.words]
        if self.actions:
            return " ".join((*words, "|".join(self.actions)))
        if len(self.options) > 1:  # --help is always there
            words.append("[OPTION ...]")
        return " ".join((*words, *(operand.usage for operand in self.operands)))


def verbs() -> list[Verb]:
    """Every command, each followed by its actions."""
    return [verb for name in COMMANDS for verb in verbs_of((name,), parser_of(name), COMMANDS[name].help)]


def verbs_of(words: tuple[str, ...], parser: argparse.ArgumentParser, text: str) -> Iterator[Verb]:
    """What those words mean, by their parser, followed by their actions; `text` is what they are for."""
    options, operands = [], []
    nested: dict[str, argparse.ArgumentParser] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            nested.update(action.choices)
        elif action.help == argparse.SUPPRESS:
            continue
        elif action.option_strings:
            options.append(_option(action, parser))
        else:
            operands.append(Operand(_usage(action), _choices(action), _help(action, parser)))
    yield Verb(words, text, tuple(options), tuple(operands), tuple(nested))
    for name, each in nested.items():
        yield from verbs_of((*words, name), each, each.description or "")


def _option(action: argparse.Action, parser: argparse.ArgumentParser) -> Option:
    value = None if action.nargs == 0 else _word(action)
    return Option(tuple(action.option_strings), value, _choices(action), _help(action, parser))


def _usage(action: argparse.Action) -> str:
    word = _word(action)
    many = {"?": f"[{word}]", "*": f"[{word} ...]", "+": f"{word} [{word} ...]"}
    return many.get(str(action.nargs), word)


def _word(action: argparse.Action) -> str:
    if isinstance(action.metavar, str):
        return action.metavar
    return "|".join(_choices(action)) or action.dest.upper()


def _choices(action: argparse.Action) -> tuple[str, ...]:
    return tuple(str(each) for each in action.choices or ())


def _help(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    return (action.help or "") % {**vars(action), "prog": parser.prog}
