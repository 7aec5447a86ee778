"""The manual pages: everything that there is stands in them, and they are good roff."""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector import net
from collector.cli import COMMANDS, exits, main
from collector.events import EVENTS
from collector.settings import files, keys, parse
from collector.settings.schema import TABLES, Setting, heading_of
from collector.verify.files import CODES
from collector.web.metrics import METRICS
from deb import manual, roff, settings_page, settings_texts
from deb.building import TREE
from deb.commands import verbs
from tests.support.sources import tree_of

DAY = date(2026, 11, 24)
PAGES = {"shelly-collector.1": manual.page(DAY), "shelly-collector.toml.5": settings_page.page(DAY)}
PROGRAM_PAGE, SETTINGS_PAGE = PAGES.values()
CHECKERS = (
    ("mandoc", "-T", "lint", "-W", "warning"),
    ("man", "--warnings", "--encoding=UTF-8", "--local-file"),
    ("groff", "-man", "-ww", "-z"),
)


def section(page: str, name: str) -> str:
    """What stands below a heading or a subheading, up to the next one of its kind."""
    _, _, rest = page.partition(f' "{roff.escaped(name)}"\n')
    assert rest, f"no {name}"
    return re.split(r"^\.S[HS] ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def spoken(words: str) -> str:
    """Text as it stands in a page, without its lines."""
    return " ".join(roff.prose(words).split())


def read(page: str) -> str:
    """A page or a part of it, without its lines."""
    return " ".join(page.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_flag_stands_in_the_manual(name: str) -> None:
    """Also those of its actions: the flags are looked for in what `--help` prints."""
    help_of = {
        " ".join(("shelly-collector", *verb.words)): help_after(*verb.words)
        for verb in verbs()
        if verb.words[0] == name
    }
    for command, text in help_of.items():
        told = section(PROGRAM_PAGE, command)
        flags = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", text.partition("example:")[0])) - {"--help"}
        assert [flag for flag in sorted(flags) if roff.escaped(flag) not in told] == [], command


def help_after(*words: str) -> str:
    """What the program prints with `--help` after these words."""
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        assert main([*words, "--help"]) == 0
    return told.getvalue()


def test_the_actions_of_a_command_are_known() -> None:
    """Or their flags would be looked for nowhere."""
    assert {("config", "check"), ("config", "show")} <= {verb.words for verb in verbs()}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_is_in_the_manual(name: str) -> None:
    """In the words of the list."""
    assert f"{roff.bold(name)} {spoken(METRICS[name].help)}" in read(section(PROGRAM_PAGE, "METRICS"))


@pytest.mark.parametrize("code", CODES)
def test_every_finding_is_in_the_manual(code: str) -> None:
    """In the words of the list."""
    assert f"{roff.bold(code)} {spoken(CODES[code])}" in read(section(PROGRAM_PAGE, "FINDINGS"))


@pytest.mark.parametrize("event", EVENTS)
def test_every_event_stands_in_the_manual(event: str) -> None:
    """In the words of the list."""
    assert f"{roff.bold(event)} {spoken(EVENTS[event])}" in read(section(PROGRAM_PAGE, "EVENTS"))


def test_every_exit_code_stands_in_the_manual() -> None:
    """With its meaning."""
    told = read(section(PROGRAM_PAGE, "EXIT STATUS"))
    assert [
        code for code, text in exits.MEANINGS.items() if f"{roff.bold(str(code))} {spoken(text)}" not in told
    ] == []


def variables_read() -> set[str]:
    """The environment variables that the program reads, found in its source.

    Those that are read by another name than their own are looked up there; a new one of these fails.
    """
    by_name = {
        "ENVIRONMENT": {files.ENVIRONMENT, keys.ENVIRONMENT},
        "keys.ENVIRONMENT": {keys.ENVIRONMENT},
        "setting.variable": {each.variable for table in TABLES.values() for each in table} - {""},
        "paths.openssl_capath_env": {"SSL_CERT_DIR"},
        "paths.openssl_cafile_env": {"SSL_CERT_FILE"},
    }
    found = set(net._PROXIES)
    for path in (TREE / "collector").rglob("*.py"):
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.Call(func=ast.Attribute(owner, "get" | "pop"), args=[ast.expr() as name, *_]):
                    pass
                case ast.Subscript(owner, name):
                    pass
                case ast.Compare(name, [ast.In() | ast.NotIn()], [owner]):
                    pass
                case _:
                    continue
            if not ast.unparse(owner).endswith("environ"):
                continue
            if isinstance(name, ast.Constant):
                found.add(str(name.value))
            elif path.name not in ("notify.py", "net.py") or ast.unparse(name) != "name":
                found |= by_name[ast.unparse(name)]  # of the command and of the network
    return found


def test_every_variable_that_the_program_reads_stands_in_the_manual() -> None:
    """Bug: those with the program's own prefix alone were looked for, and two of the others were missing."""
    assert variables_read() == set(manual.ENVIRONMENT)
    told = section(PROGRAM_PAGE, "ENVIRONMENT")
    assert [name for name in manual.ENVIRONMENT if f"{roff.bold(name)}\n" not in told] == []


def test_the_file_that_remembers_archives_stands_in_the_manual() -> None:
    """Bug: a folder that the unit makes, and nobody said what it is for."""
    assert roff.bold("/var/lib/shelly-collector-known/archives.json") in section(PROGRAM_PAGE, "FILES")


@pytest.mark.parametrize("kind", TABLES)
def test_every_setting_stands_in_the_manual_with_its_explanation(kind: str) -> None:
    """And in the reference; in the words of the table of settings, and with what is allowed."""
    told = read(section(SETTINGS_PAGE, heading_of(kind)))
    _, _, table = settings_texts.settings_reference().partition(f"## `{heading_of(kind)}`\n")
    for setting in TABLES[kind]:
        assert f"{roff.bold(setting.key)} {spoken(settings_texts.meaning(setting))}" in told
        assert spoken(f"Allowed: {setting.form.allowed}.") in told
        (row,) = [line for line in table.split("## ")[0].splitlines() if f"| `{setting.key}` |" in line]
        assert setting.help in row
        assert setting.form.allowed in row


def test_defaults_are_told_as_they_are_written_in_the_file() -> None:
    """Numbers, lists, words and switches in TOML."""
    told = read(SETTINGS_PAGE)
    for default in ("1.05", "[1, 3]", '"all"', "true", "1"):
        assert f"Default: {roff.bold(default)}." in told


def test_the_least_that_the_manual_shows_is_a_configuration() -> None:
    """With a key from elsewhere."""
    least = tomllib.loads(settings_texts.least())
    assert len(parse(least, {"SHELLY_COLLECTOR_AUTH_KEY": "SIMULATED0NOT0A0REAL0KEY"}, None).meters) == 1


def test_the_example_is_made_of_the_table_of_settings() -> None:
    """`systemd/package/reference.py` writes it again."""
    assert (TREE / "config" / "collector.toml").read_text() == settings_texts.example()


@pytest.mark.parametrize(
    "setting", [each for table in TABLES.values() for each in table], ids=lambda it: it.key
)
def test_the_help_of_a_setting_is_made_of_sentences(setting: Setting) -> None:
    """Which begin with a capital or a word of TOML, and end with a full stop."""
    assert setting.help.endswith(".")
    assert setting.help[0].isupper() or setting.help.startswith(('"', "true: "))
    assert "|" not in setting.help + setting.form.allowed


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
@pytest.mark.parametrize("name", PAGES)
def test_the_tools_find_nothing_wrong_with_a_page(
    name: str, checker: tuple[str, ...], tmp_path: Path
) -> None:
    """Whichever of them there are."""
    verdict = checked(checker, PAGES[name], tmp_path / name)
    assert (verdict.stderr, verdict.returncode) == ("", 0), verdict.stdout
    if checker[0] == "mandoc":
        assert verdict.stdout == ""


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda words: words[0])
def test_a_mistake_in_a_page_would_be_noticed(checker: tuple[str, ...], tmp_path: Path) -> None:
    """A request that there is not."""
    verdict = checked(checker, PROGRAM_PAGE.replace(".TP", ".TPP", 1), tmp_path / "page.1")
    assert "TPP" in verdict.stdout + verdict.stderr


def checked(checker: tuple[str, ...], page: str, path: Path) -> subprocess.CompletedProcess[str]:
    """What a tool says of a page."""
    if shutil.which(checker[0]) is None:
        pytest.skip(f"no {checker[0]} here")
    path.write_text(page, encoding="ascii")
    return subprocess.run([*checker, str(path)], capture_output=True, text=True, timeout=60, check=False)


@settings(deadline=None)
@given(st.text())
def test_no_text_can_become_a_request_or_an_escape(words: str) -> None:
    """No line begins with a dot or an apostrophe, and each backslash is one of ours."""
    shown = roff.prose(words)
    assert shown.isascii()
    for line in shown.splitlines():
        assert not line.startswith((".", "'"))
        assert (
            re.sub(r"\\(?:[e&-]|\((?:aq|ga|ha|ti|dq|en|>=)|f[BR]|\[u[0-9A-F]{4,6}\])", "", line).count("\\")
            == 0
        )


@pytest.mark.parametrize(
    "words", [".so /etc/passwd", "'br", r"\fBbold\fR and \n(.x", "a-b --c ~d ^e 'f' \"g\"", r"C:\new .x \" y"]
)
def test_text_comes_out_as_it_went_in(words: str) -> None:
    """Rendered for a terminal."""
    if shutil.which("groff") is None:
        pytest.skip("no groff here")
    page = roff.title("x", 1, DAY, "x", "x") + roff.heading("X") + roff.prose(words) + roff.example(words)
    rendered = subprocess.run(
        ["groff", "-man", "-Tascii", "-P-cbou"], input=page, capture_output=True, text=True, check=True
    ).stdout
    assert read(rendered).count(read(words)) == 2
