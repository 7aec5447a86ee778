"""fish: a line for each word that can follow, under the condition that the words before it are these."""

from __future__ import annotations

from collections.abc import Iterator

from collector.cli import PROGRAM
from deb.commands import Option, Verb, verbs
from deb.completions import HEADER, takes_files, takes_folders

_CONDITIONS = """\
# Whether the words so far begin with these; with "only" as the first one, whether there are no others.
function __shelly_collector_words
    set -l given (commandline -opc)
    set -e given[1]
    if test "$argv[1]" = only
        set -e argv[1]
        test (count $given) -eq (count $argv)
        or return 1
    end
    for index in (seq (count $argv))
        test "$given[$index]" = "$argv[$index]"
        or return 1
    end
end

complete -c {program} -f
complete -c {program} -n '__shelly_collector_words only' -l version -d 'Print the version'
complete -c {program} -n '__shelly_collector_words only' -l help -d 'Print the list of commands'
"""


def script() -> str:
    """The completion, for a folder of fish's `fish_complete_path`."""
    lines = "".join(f"{line}\n" for verb in verbs() for line in _lines(verb))
    return HEADER.format(program=PROGRAM, name="fish") + _CONDITIONS.format(program=PROGRAM) + lines


def _lines(verb: Verb) -> Iterator[str]:
    *before, word = verb.words
    yield _complete(" ".join(("only", *before)), f"-a {word} -d {_quoted(verb.help)}")
    if verb.actions:
        return
    place = " ".join(verb.words)
    for option in verb.options:
        yield _complete(place, f"{_spelled(option)}{_value(option)} -d {_quoted(option.help)}")
    for operand in verb.operands:
        if operand.choices:
            yield _complete(place, f"-a {_quoted(' '.join(operand.choices))} -d {_quoted(operand.help)}")


def _complete(words: str, what: str) -> str:
    return f"complete -c {PROGRAM} -n '__shelly_collector_words {words}' {what}"


def _spelled(option: Option) -> str:
    return " ".join(f"-l {flag[2:]}" if flag.startswith("--") else f"-s {flag[1:]}" for flag in option.flags)


def _value(option: Option) -> str:
    if option.value is None:
        return ""
    if option.choices:
        return f" -x -a {_quoted(' '.join(option.choices))}"
    if takes_files(option):
        return " -r -F"
    return " -x -a '(__fish_complete_directories)'" if takes_folders(option) else " -x"


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
