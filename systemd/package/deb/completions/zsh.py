"""zsh: commands and actions with their explanations, then `_arguments` for the options."""

from __future__ import annotations

from collector.cli import PROGRAM
from deb.commands import Option, Verb, verbs
from deb.completions import HEADER, takes_files, takes_folders


def script() -> str:
    """The completion, for a folder of zsh's `fpath`."""
    every = {verb.words: verb for verb in verbs()}
    commands = [(verb.words[0], verb.help) for verb in every.values() if len(verb.words) == 1]
    cases = "".join(_case(verb, every) for verb in every.values() if len(verb.words) == 1)
    return (
        f"#compdef {PROGRAM}\n{HEADER.format(program=PROGRAM, name='zsh')}\n"
        "_shelly-collector() {\n"
        "    local -a offered\n"
        "    if (( CURRENT == 2 )); then\n"
        f"{_offer('command', commands, '        ')}"
        "        compadd -- --version --help\n"
        "        return\n"
        "    fi\n"
        "    shift words\n"
        "    (( CURRENT-- ))\n"
        "    case $words[1] in\n"
        f"{cases}"
        "    esac\n"
        "}\n\n"
        '_shelly-collector "$@"\n'
    )


def _case(verb: Verb, every: dict[tuple[str, ...], Verb]) -> str:
    if not verb.actions:
        return f"        {verb.words[-1]})\n{_arguments(verb, '            ')}            ;;\n"
    actions = [every[(*verb.words, action)] for action in verb.actions]
    offered = [(action.words[-1], action.help) for action in actions]
    cases = "".join(
        f"                {action.words[-1]})\n{_arguments(action, ' ' * 20)}                    ;;\n"
        for action in actions
    )
    return (
        f"        {verb.words[-1]})\n"
        "            if (( CURRENT == 2 )); then\n"
        f"{_offer('action', offered, ' ' * 16)}"
        "                return\n"
        "            fi\n"
        "            shift words\n"
        "            (( CURRENT-- ))\n"
        "            case $words[1] in\n"
        f"{cases}"
        "            esac\n"
        "            ;;\n"
    )


def _offer(what: str, offered: list[tuple[str, str]], indent: str) -> str:
    lines = "".join(f"{indent}    {_quoted(f'{name}:{text}')}\n" for name, text in offered)
    return f"{indent}offered=(\n{lines}{indent})\n{indent}_describe {what} offered\n"


def _arguments(verb: Verb, indent: str) -> str:
    specs = [_spec(option, flag) for option in verb.options for flag in option.flags]
    for operand in verb.operands:
        action = f"({' '.join(operand.choices)})" if operand.choices else " "
        specs.append(_quoted(f"*:{_escaped(operand.usage)}:{action}"))
    return f"{indent}_arguments " + f" \\\n{indent}    ".join(specs) + "\n"


def _spec(option: Option, flag: str) -> str:
    text = f"{flag}[{_escaped(option.help)}]"
    if option.value is None:
        return _quoted(text)
    action = " "
    if option.choices:
        action = f"({' '.join(option.choices)})"
    elif takes_files(option):
        action = "_files"
    elif takes_folders(option):
        action = "_files -/"
    return _quoted(f"{text}:{_escaped(option.value)}:{action}")


def _escaped(text: str) -> str:
    for char in "\\:[]":
        text = text.replace(char, f"\\{char}")
    return text


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
