"""bash: one function, with a `case` for the words before the cursor."""

from __future__ import annotations

from collections.abc import Iterator

from collector.cli import PROGRAM
from deb.commands import Option, Verb, verbs
from deb.completions import HEADER, takes_files, takes_folders

_FUNCTION = """\
_shelly_collector() {{
    local current="${{COMP_WORDS[COMP_CWORD]}}" before="" verb="${{COMP_WORDS[1]}}"
    (( COMP_CWORD > 0 )) && before="${{COMP_WORDS[COMP_CWORD - 1]}}"
    # bash splits --flag=value into three words
    if [[ $current == "=" ]]; then
        current=""
    elif [[ $before == "=" ]]; then
        before="${{COMP_WORDS[COMP_CWORD - 2]}}"
    fi
    COMPREPLY=()
    if (( COMP_CWORD == 1 )); then
        mapfile -t COMPREPLY < <(compgen -W "{commands}" -- "$current")
        return
    fi
    case $verb in
{nested}    esac
    case "$verb $before" in
{values}    esac
    case $verb in
{options}    esac
}}
complete -F _shelly_collector {program}
"""


def script() -> str:
    """The completion, to be sourced."""
    every = verbs()
    commands = [verb.words[0] for verb in every if len(verb.words) == 1]
    return HEADER.format(program=PROGRAM, name="bash") + _FUNCTION.format(
        program=PROGRAM,
        commands=" ".join((*commands, "--version", "--help")),
        nested="".join(_nested(verb) for verb in every if verb.actions),
        values="".join(line for verb in every for line in _values(verb)),
        options="".join(_options(verb) for verb in every if not verb.actions),
    )


def _nested(verb: Verb) -> str:
    name = " ".join(verb.words)
    offered = " ".join((*verb.actions, "--help"))
    return (
        f"        {name})\n"
        f"            if (( COMP_CWORD == {len(verb.words) + 1} )); then\n"
        f'                mapfile -t COMPREPLY < <(compgen -W "{offered}" -- "$current")\n'
        "                return\n"
        "            fi\n"
        f'            verb="$verb ${{COMP_WORDS[{len(verb.words) + 1}]}}"\n'
        "            ;;\n"
    )


def _values(verb: Verb) -> Iterator[str]:
    for option in verb.options:
        if option.value is not None:
            patterns = "|".join(f'"{" ".join(verb.words)} {flag}"' for flag in option.flags)
            yield f"        {patterns})\n{_reply(option)}            return\n            ;;\n"


def _reply(option: Option) -> str:
    fill = '            mapfile -t COMPREPLY < <(compgen {} -- "$current")\n'
    names = "            compopt -o filenames 2>/dev/null\n"
    if takes_files(option):
        return names + fill.format("-f")
    if takes_folders(option):
        return names + fill.format("-d")
    return fill.format(f'-W "{" ".join(option.choices)}"') if option.choices else ""


def _options(verb: Verb) -> str:
    choices = [choice for operand in verb.operands for choice in operand.choices]
    offered = " ".join((*choices, *(option.offered for option in verb.options)))
    return (
        f'        "{" ".join(verb.words)}")\n'
        f'            mapfile -t COMPREPLY < <(compgen -W "{offered}" -- "$current")\n'
        "            ;;\n"
    )
