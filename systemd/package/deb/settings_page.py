"""shelly-collector.toml(5): the manual page of the configuration file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from collector import __version__
from collector.cli import PROGRAM
from collector.settings.schema import TABLES, heading_of
from deb import roff, settings_texts


def page(day: date) -> str:
    """The whole page, in roff."""
    return "".join(_sections(day))


def _sections(day: date) -> Iterator[str]:
    yield roff.title(f"{PROGRAM}.toml", 5, day, f"{PROGRAM} {__version__}", "File Formats")
    yield roff.heading("NAME")
    yield rf"{roff.escaped(PROGRAM)}.toml \- the configuration of {roff.escaped(PROGRAM)}" + "\n"
    yield roff.heading("DESCRIPTION")
    yield roff.prose(settings_texts.ABOUT[0])
    yield from (roff.paragraph(each) for each in settings_texts.ABOUT[1:])
    yield roff.heading("PLACES")
    yield roff.prose("Searched in this order (a file that you name must exist):")
    yield roff.example("\n".join(settings_texts.PLACES))
    yield roff.paragraph("If `$XDG_CONFIG_HOME` is set, it replaces `~/.config`.")
    yield roff.heading("SETTINGS")
    for table, settings in TABLES.items():
        yield roff.subheading(heading_of(table))
        for setting in settings:
            default = "Required." if setting.required else f"Default: {settings_texts.default_of(setting)}."
            text = f"{settings_texts.meaning(setting)} Allowed: {setting.form.allowed}. {default}"
            yield roff.item(setting.key, text)
    yield roff.heading("EXAMPLE")
    yield roff.prose("The shortest possible configuration, with the key elsewhere:")
    yield roff.example(settings_texts.least())
    yield roff.heading("SEE ALSO")
    yield ".BR shelly\\-collector (1)\n"
