"""shelly-collector.toml(5): the manual page of the configuration file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date

from collector import __version__
from collector.cli import PROGRAM
from collector.settings import files
from collector.settings.schema import LISTS, TABLES, Setting
from deb import roff
from deb.explained import explanations

_SHOWN = {"CONFIGURATION_DIRECTORY": "$CONFIGURATION_DIRECTORY", "HOME": "~"}


def page(example: str, day: date) -> str:
    """The whole page, in roff; `example` is the configuration that explains each setting."""
    return "".join(_sections(explanations(example), example, day))


def _sections(texts: Mapping[tuple[str, str], str], example: str, day: date) -> Iterator[str]:
    yield roff.title(f"{PROGRAM}.toml", 5, day, f"{PROGRAM} {__version__}", "File Formats")
    yield roff.heading("NAME")
    yield rf"{roff.escaped(PROGRAM)}.toml \- the configuration of {roff.escaped(PROGRAM)}" + "\n"
    yield roff.heading("DESCRIPTION")
    yield roff.prose(
        "A TOML file. Only `[[account]]` with a host and a meter is needed; the rest may be left out. A flag "
        "beats the environment, the environment the file, the file the default. Unknown settings are refused."
    )
    yield roff.paragraph(
        f"Check it with `{PROGRAM} config check`, which says everything that is wrong at once; see what is "
        f"in force with `{PROGRAM} config show`. `systemctl reload {PROGRAM}` takes over a changed file."
    )
    yield roff.heading("PLACES")
    yield roff.prose("Looked for in this order; the first one counts:")
    yield roff.example("\n".join(("--config FILE", f"${files.ENVIRONMENT}", *map(str, files.places(_SHOWN)))))
    yield roff.heading("SETTINGS")
    for kind, settings in TABLES.items():
        yield roff.subheading(LISTS.get(kind, f"[{kind}]"))
        for setting in settings:
            yield roff.item(setting.key, f"{texts[kind, setting.key]} {_default(setting)}")
    yield roff.heading("EXAMPLE")
    yield roff.prose("The least that works, with the key elsewhere:")
    yield roff.example(_least(example))
    yield roff.heading("SEE ALSO")
    yield ".BR shelly\\-collector (1)\n"


def _default(setting: Setting[object]) -> str:
    if setting.required:
        return "Required."
    if setting.default is None:
        return "Without a default."
    return f"Default: `{_as_toml(setting.default)}`."


def _as_toml(value: object) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(_as_toml(each) for each in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return f"{value:g}"
    text = str(value)
    return text if text.replace(".", "", 1).isdigit() else json.dumps(text)


def _least(example: str) -> str:
    lines = example.splitlines()
    account = lines[lines.index("[[account]]") :]
    wanted = ("name =", "host =", "id =", "kind =", "[[")
    kept = [line for line in account if line.startswith(wanted)]
    return "\n".join(kept)
