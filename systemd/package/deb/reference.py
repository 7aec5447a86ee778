"""The pages of docs/reference: from the same tables as the manual pages."""

from __future__ import annotations

from collections.abc import Iterator

from collector.cli import COMMANDS, PROGRAM, exits
from collector.doctor.checks import NAMES
from collector.events import CURES, EVENTS
from collector.verify.files import CODES
from collector.web.metrics import METRICS
from deb import http, manual, settings_texts
from deb.commands import Verb, verbs
from deb.markdown import block, code, table, terms

COMMAND = ".venv/bin/python systemd/package/reference.py"
_LISTS = {"doctor": ("check", "what is checked", NAMES), "verify": ("finding", "meaning", CODES)}
"""What the output of a command names, in tables of their own."""


def pages() -> dict[str, str]:
    """Each page by its file name."""
    bodies = {
        "commands.md": _commands(),
        "settings.md": (settings_texts.settings_reference(),),
        "events.md": _events(),
        "http.md": http.page(),
        "metrics.md": _metrics(),
        "exit-codes.md": _exit_codes(),
    }
    note = f"<!-- Generated from the code by `{COMMAND}`: do not edit. -->\n"
    return {name: "\n".join((note, *body)) for name, body in bodies.items()}


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    yield (
        f"`{PROGRAM} COMMAND --help` prints the same. The output of `--json` is in "
        "[json-output.md](../json-output.md), each exit code in [exit-codes.md](exit-codes.md).\n"
    )
    for verb in verbs():
        yield f"## `{' '.join(verb.words)}`\n"
        yield f"{verb.help[0].upper()}{verb.help[1:]}.\n"
        yield block(verb.usage)
        yield from _options(verb)
        if len(verb.words) == 1:
            yield f"Example: `{PROGRAM} {COMMANDS[verb.words[0]].example}`\n"
        if verb.words[0] in _LISTS and len(verb.words) == 1:
            term, meaning, meanings = _LISTS[verb.words[0]]
            yield terms((term, meaning), meanings)
    yield "## Signals\n"
    yield terms(("signal", "effect"), manual.SIGNALS)
    yield "## Environment\n"
    yield terms(("variable", "meaning"), manual.ENVIRONMENT)
    yield "## Files\n"
    yield terms(("path", "content"), manual.FILES)


def _options(verb: Verb) -> Iterator[str]:
    rows = [(code(operand.usage), operand.help) for operand in verb.operands if operand.help]
    rows += [(code(each.spelled), each.help) for each in verb.options if each.offered != "--help"]
    if rows:
        yield table(("option", "meaning"), rows)


def _events() -> Iterator[str]:
    yield "# Events\n"
    yield (
        "The log has one JSON object a line: `timestamp`, `level`, `event`, `logger`, the ids `account`, "
        "`meter` and `day`, and numbers with their unit in the name. On a terminal it is plain text "
        "(setting `format` of `[log]`). The names are stable. More about the events that need action is in "
        "[troubleshooting.md](../troubleshooting.md).\n"
    )
    yield table(
        ("event", "meaning", "what to do"),
        ((code(event), meaning, CURES.get(event, "")) for event, meaning in EVENTS.items()),
    )


def _metrics() -> Iterator[str]:
    yield "# Metrics\n"
    yield (
        "In Prometheus's text format on `/metrics`, see [monitoring.md](../monitoring.md). A value that is "
        "not known is left out.\n"
    )
    rows = (
        (code(name + (f"{{{','.join(metric.labels)}}}" if metric.labels else "")), metric.help)
        for name, metric in METRICS.items()
    )
    yield table(("metric", "meaning"), rows)


def _exit_codes() -> Iterator[str]:
    yield "# Exit codes\n"
    yield table(("code", "meaning"), ((str(each), text) for each, text in exits.MEANINGS.items()))
