"""The table of settings in words: the example file and the reference; the manual page is made of the same."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from collector.settings.files import ENVIRONMENT, places, toml
from collector.settings.schema import LISTS, OPTIONAL, TABLES, Setting, heading_of

PLACES = (
    "--config FILE",
    f"${ENVIRONMENT}",
    *map(str, places({"CONFIGURATION_DIRECTORY": "$CONFIGURATION_DIRECTORY", "HOME": "~"})),
)
"""Where the configuration file is searched for, best first."""

ABOUT = (
    "A TOML file. Required are `[[account]]` with `name` and `host`, in it `[[account.meter]]` with `name` "
    "and `id`, and the key, which may be stored elsewhere. A flag overrides the environment, which overrides "
    "the file. Unknown settings are refused.",
    "`shelly-collector config check` lists everything that is wrong with the file, `shelly-collector config "
    "show` prints the settings in force. `systemctl reload shelly-collector` makes the service use a changed "
    "file.",
    "A file may have several accounts and meters. Each meter has a folder of its own. Accounts with the same "
    "host and key share one request a second.",
    "More accounts may be in files of their own: `*.toml` in the folder `config.d` beside the configuration "
    "file, whatever that is called. They are read in the order of their names, after the configuration file; "
    "names that begin with a dot are left out. Each has `[[account]]` tables alone, and a relative "
    "`auth_key_file` begins at its folder. Names are unique over all files, and a file with a mistake is "
    "refused like one in the configuration file.",
)
"""What there is to know of the file as a whole."""

_WIDTH = 110
_HEAD = (
    "The configuration of shelly-collector. You only need to edit the section [[account]]: name, host, key, "
    "meter name, device ID. All other settings are optional; they have their default values here.",
    "Check the file: `shelly-collector config check`. Print the settings in force: `shelly-collector config "
    "show`.",
    f"Searched in this order (a file that you name must exist): {', '.join(PLACES)}. If $XDG_CONFIG_HOME is "
    "set, it replaces ~/.config.",
)


def example() -> str:
    """The example configuration: what an account needs, then every other setting with its default."""
    return "\n".join(_example_lines()) + "\n"


def _example_lines() -> Iterator[str]:
    for paragraph in _HEAD:
        yield from _comment(paragraph)
    for table, settings in TABLES.items():
        if table == next(each for each in TABLES if each not in LISTS):
            yield from ("", "# ---------- Everything below is optional ----------")
        off = "# " if table in OPTIONAL else ""
        yield from ("", f"{off}{heading_of(table)}")
        for setting in settings:
            yield from _comment(f"{meaning(setting)} Allowed: {setting.form.allowed}.")
            default = None if setting.required else setting.form.write(setting.default)
            if setting.required:
                yield f"{off}{setting.key} = {toml(setting.example)}"
            elif default is None:
                yield f"# {setting.key} = {toml(setting.example)}"
            else:
                yield f"{off}{setting.key} = {toml(default)}"


def _comment(text: str) -> list[str]:
    lines = textwrap.wrap(text, _WIDTH - len("# "), break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in lines]


def least() -> str:
    """The shortest possible configuration, with the key given elsewhere."""
    lines: list[str] = []
    for table in (each for each in LISTS if each not in OPTIONAL):
        required = [each for each in TABLES[table] if each.required]
        lines += [heading_of(table), *(f"{each.key} = {toml(each.example)}" for each in required)]
    return "\n".join(lines) + "\n"


def settings_reference() -> str:
    """docs/reference/settings.md: all settings in Markdown."""
    return "\n".join(_reference_lines())


def _reference_lines() -> Iterator[str]:
    yield from ("# Settings", "", ABOUT[0], "")
    yield f"{ABOUT[1]} [collector.toml](../../config/collector.toml) is an example."
    yield from ("", "Searched in this order (a file that you name must exist):", "")
    yield from (f"{number}. `{place}`" for number, place in enumerate(PLACES, 1))
    yield from ("", "If `$XDG_CONFIG_HOME` is set, it replaces `~/.config`.", "")
    yield from ("The shortest possible configuration, with the key elsewhere:", "")
    yield from ("```toml", least().rstrip(), "```", "", ABOUT[2], "", ABOUT[3], "")
    for table, settings in TABLES.items():
        yield from (f"## `{heading_of(table)}`", "")
        yield from ("| setting | default | allowed | meaning |", "|---|---|---|---|")
        for setting in settings:
            cells = (f"`{setting.key}`", default_of(setting), setting.form.allowed, meaning(setting))
            yield f"| {' | '.join(cells)} |"
        yield ""


def meaning(setting: Setting) -> str:
    """What the setting means, in sentences."""
    only = f'Only for kind = "{setting.only}". ' if setting.only else ""
    overridden = f" `${setting.variable}` overrides it." if setting.variable else ""
    return f"{only}{setting.help}{overridden}"


def default_of(setting: Setting) -> str:
    """The default as it is written in the file, or that there is none."""
    if setting.required:
        return "required"
    default = setting.form.write(setting.default)
    return "none" if default is None else f"`{toml(default)}`"
