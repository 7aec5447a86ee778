"""Which key is used, and that it never shows."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.errors import SettingsError
from collector.settings import Settings, from_flags, keys, load, masked
from tests.support.key_forms import AWKWARD_KEY

KEY = "S3cretKey" * 9
CONFIG = """
[[account]]
name = "home"
host = "shelly-12-eu.shelly.cloud"
{key}
[[account.meter]]
name = "grid"
id = "a1b2c3d4e5f6"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = os.umask(0o077)
    yield tmp_path
    os.umask(before)


def loaded(folder: Path, key: str = "", environ: dict[str, str] | None = None) -> Settings:
    (folder / "config.toml").write_text(CONFIG.format(key=key))
    return load(folder / "config.toml", environ or {})


def key_of(settings: Settings) -> str:
    return settings.accounts[0].account.auth_key


def reason_of(folder: Path, key: str, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(folder, key, environ)
    return str(caught.value)


def test_the_best_source_of_a_key_wins(folder: Path) -> None:
    """Credential of the account, credential, key file, environment, configuration."""
    sources = ["auth_key.home", "auth_key", "file", "env", "conf"]
    keys = {source: f"key-from-{source}" for source in sources}
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "auth_key.home").write_text(keys["auth_key.home"] + "\n")
    (credentials / "auth_key").write_text(keys["auth_key"])
    (folder / "key").write_text(f"  {keys['file']}\r\n")
    environ = {"CREDENTIALS_DIRECTORY": str(credentials), "SHELLY_COLLECTOR_AUTH_KEY": keys["env"]}
    in_file = f'auth_key_file = "key"\nauth_key = "{keys["conf"]}"'

    assert key_of(loaded(folder, in_file, environ)) == keys["auth_key.home"]
    (credentials / "auth_key.home").unlink()
    assert key_of(loaded(folder, in_file, environ)) == keys["auth_key"]
    (credentials / "auth_key").unlink()
    assert key_of(loaded(folder, in_file, environ)) == keys["file"]
    in_file = f'auth_key = "{keys["conf"]}"'
    assert key_of(loaded(folder, in_file, environ)) == keys["env"]
    del environ["SHELLY_COLLECTOR_AUTH_KEY"]
    assert key_of(loaded(folder, in_file, environ)) == keys["conf"]
    by_flag = from_flags(
        {"SHELLY_COLLECTOR_AUTH_KEY": KEY}, host="localhost", id="a1b2c3", auth_key="by-a-flag"
    )
    assert key_of(by_flag) == "by-a-flag"


def test_without_any_key_the_problem_names_how_to_give_one(folder: Path) -> None:
    assert "auth_key_file" in reason_of(folder, "")


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (KEY.encode() + b"\n" + KEY.encode(), "more than one line"),
        (b"\xff\xfe\x00\x01" + KEY.encode(), "not plain text"),
        (KEY.encode() + b"\0", "characters"),
        (KEY.encode() + b" x", "characters"),
        (b"short", "5 characters"),
        (b"k" * 513, "513 characters"),
        (KEY.encode() * 1000, "larger"),
    ],
)
def test_a_key_file_that_holds_no_key_is_a_problem_with_its_cause(
    folder: Path, content: bytes, cause: str
) -> None:
    (folder / "key").write_bytes(content)
    reason = reason_of(folder, 'auth_key_file = "key"', {"SHELLY_COLLECTOR_AUTH_KEY": KEY})
    assert cause in reason
    assert KEY not in reason


WRAPPED = [
    ('"{key}"', "quotes"),
    ("'{key}'", "quotes"),
    ('"{key}', "quotes"),
    ("{key}'", "quotes"),
    ("`{key}`", "quotes"),
    ("“{key}”", "quotes"),
    ("„{key}“", "quotes"),
    ("‘{key}’", "quotes"),
    ("«{key}»", "quotes"),
    ("<{key}>", "brackets"),
    ("[{key}]", "brackets"),
    ("({key})", "brackets"),
    ("{{{key}}}", "brackets"),
    ("auth_key={key}", "the name"),
    ("auth_key = {key}", "the name"),
    ("auth-key: {key}", "the name"),
    ("SHELLY_COLLECTOR_AUTH_KEY={key}", "the name"),
    ("export SHELLY_COLLECTOR_AUTH_KEY={key}", "the name"),
    ("Authorization cloud key: {key}", "the name"),
    ('{{"auth_key": "{key}"}}', "the name"),
    ("Authorization: Bearer {key}", "the word"),
    ("Bearer {key}", "the word"),
    ("{key};", '";"'),
    ("{key},", '","'),
    ("{key}.", '"."'),
    ("&auth_key={key}", "address"),
    ("?auth_key={key}&id=a1b2c3", "address"),
    ("auth_key={key}&id=a1b2c3", "address"),
    ("{key}&id=a1b2c3", "behind it"),
    ("https://shelly-12-eu.shelly.cloud/device/status?id=a1b2c3&auth_key={key}", "address"),
    ("\ufeff{key}", "byte order mark"),
    ("*{key}*", "asterisks"),
    ("**{key}**", "asterisks"),
    ("{key}|", '"|"'),
    ("| {key} |", '"|"'),
    ("&{key}", '"&" before'),
    ("{key}%0A", '"%0A"'),
    ("{key}%0d%0a", '"%0d%0a"'),
]


@pytest.mark.parametrize("place", ["file", "environment", "configuration", "flag"])
@pytest.mark.parametrize(("written", "cause"), WRAPPED)
def test_what_is_around_a_key_is_found_by_the_check(
    folder: Path, written: str, cause: str, place: str
) -> None:
    """Bug: in quotes, with its name, in brackets: "OK", and then "the cloud refused the key"."""
    text = written.format(key=KEY)
    (folder / "key").write_text(text + "\n", encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        if place == "file":
            loaded(folder, 'auth_key_file = "key"')
        elif place == "environment":
            loaded(folder, "", {"SHELLY_COLLECTOR_AUTH_KEY": text})
        elif place == "configuration":
            loaded(folder, f"auth_key = {json.dumps(text)}")
        else:
            from_flags({}, host="localhost", id="a1b2c3", auth_key=text)
    (problem,) = caught.value.problems
    assert cause in problem.reason
    assert "remove" in problem.reason
    assert KEY not in str(problem)


def test_all_that_is_around_a_key_is_named_at_once(folder: Path) -> None:
    """One sentence, from the outside in."""
    (folder / "key").write_text(f"auth_key = '<{KEY}>';\n")
    reason = reason_of(folder, 'auth_key_file = "key"')
    parts = ["the name", '";"', "the quotes", "the brackets"]
    assert [reason.index(part) for part in parts] == sorted(reason.index(part) for part in parts)


@pytest.mark.parametrize("key", [AWKWARD_KEY, "MTIz" * 20 + "A0B1C2D3", "aB3-_.~x" * 2, "abcd/efg=="])
def test_a_key_with_awkward_characters_inside_is_a_key(folder: Path, key: str) -> None:
    """Real ones are letters and digits; nobody promises that they stay so."""
    (folder / "key").write_text(key)
    assert key_of(loaded(folder, 'auth_key_file = "key"')) == key


@pytest.mark.parametrize("written", ["{key},{key}", "{key}#x", "{key}%0Ax"])
def test_a_key_with_more_than_letters_and_digits_passed_without_a_word(folder: Path, written: str) -> None:
    """Bug: "OK", and then "the cloud refused the key". Whether it is one nobody knows: a warning."""
    settings = loaded(folder, f'auth_key = "{written.format(key=KEY)}"')
    (warning,) = settings.warnings
    assert warning.startswith("account[home].auth_key: ")
    assert "letters and digits" in warning
    assert KEY not in warning
    assert not loaded(folder, f'auth_key = "{KEY}"').warnings
    assert not from_flags({}, host="localhost", id="a1b2c3", needs_key=False).warnings


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=90))
def test_whatever_a_key_is_it_is_used_unchanged_or_refused(text: str) -> None:
    """Nothing is taken off in silence, and no refusal shows it."""
    try:
        assert keys.checked(text) == text
    except ValueError as error:
        assert text not in str(error)


def test_a_key_file_that_cannot_be_read_is_a_problem_with_its_cause(folder: Path) -> None:
    assert "no such file" in reason_of(folder, 'auth_key_file = "nowhere"')
    assert "not a regular file" in reason_of(folder, 'auth_key_file = "."')
    assert str(folder / "nowhere") in reason_of(folder, 'auth_key_file = "nowhere"')
    os.mkfifo(folder / "pipe")
    assert "not a regular file" in reason_of(folder, 'auth_key_file = "pipe"')


def test_credentials_that_cannot_be_read_are_a_problem_with_its_cause(folder: Path) -> None:
    """Nothing is taken from the next place, and nothing ends in a traceback."""
    environ = {"CREDENTIALS_DIRECTORY": str(folder / ("long" * 100))}
    assert "File name too long" in reason_of(folder, f'auth_key = "{KEY}"', environ)


@pytest.mark.parametrize(
    "line",
    [
        f'auth_key = "{KEY} x"',
        f'auth_key = "{KEY}\\n{KEY}"',
        f'auth_key = ["{KEY}"]',
        f'auth_key = {{ "{KEY}" = 1 }}',
        f'auth_key_file = "{KEY}"',
        f'auth_kye = "{KEY}"',
        f'auth_key = "{KEY}"\nauth_key = "{KEY}"',
        f'auth_key = "{KEY}',
        f"auth_key = {KEY}",
        f'auth_key = "{KEY}"\nnote = "{KEY}"',
    ],
)
def test_no_problem_shows_a_key(folder: Path, line: str) -> None:
    assert KEY not in reason_of(folder, line)


def test_a_key_in_the_wrong_place_is_not_shown_either(folder: Path) -> None:
    for host in (f"https://x.shelly.cloud/?auth_key={KEY}", f"https://{KEY}@x.shelly.cloud", KEY):
        with pytest.raises(SettingsError) as caught:
            from_flags({"SHELLY_COLLECTOR_AUTH_KEY": KEY}, host=host, id=KEY, since=KEY)
        assert KEY not in str(caught.value)
        assert KEY not in repr([*caught.value.problems])


def test_a_short_key_in_the_wrong_place_is_not_shown_where_it_is_known(folder: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        from_flags({}, host="localhost", id="k3y-0f-12", auth_key="k3y-0f-12")
    assert "k3y-0f-12" not in str(caught.value)


def test_the_cure_for_a_missing_key_names_what_the_user_can_give(folder: Path) -> None:
    """Bug: from flags, it named `auth_key_file`, which is no flag."""
    with pytest.raises(SettingsError) as caught:
        from_flags({}, host="localhost", id="a1b2c3")
    (problem,) = caught.value.problems
    assert problem.field == "--auth_key"
    assert "SHELLY_COLLECTOR_AUTH_KEY" in problem.reason
    assert "auth_key_file" not in problem.reason
    assert "credential" not in problem.reason


def test_a_dry_run_needs_no_key_from_flags_either(folder: Path) -> None:
    """Bug: `--dry-run` required a key that it did not need. One that is given is checked all the same."""
    settings = from_flags({}, host="localhost", id="a1b2c3", needs_key=False)
    assert settings.meters[0].id == "a1b2c3"
    environ = {"SHELLY_COLLECTOR_AUTH_KEY": KEY}
    assert key_of(from_flags(environ, host="localhost", id="a1b2c3", needs_key=False)) == KEY
    with pytest.raises(SettingsError, match="quotes"):
        from_flags({}, host="localhost", id="a1b2c3", auth_key=f"'{KEY}'", needs_key=False)
    with pytest.raises(SettingsError) as caught:
        from_flags({}, host="localhost", id="k3y-0f-12", auth_key="k3y-0f-12", needs_key=False)
    assert "k3y-0f-12" not in str(caught.value)


def test_settings_never_show_their_key(folder: Path) -> None:
    settings = loaded(folder, f'auth_key = "{KEY}"')
    assert KEY not in repr(settings)
    assert KEY not in masked(settings)


def test_a_key_that_others_can_read_is_warned_about(folder: Path) -> None:
    assert loaded(folder, f'auth_key = "{KEY}"').warnings == ()
    (folder / "config.toml").chmod(0o644)
    assert "chmod" in load(folder / "config.toml", {}).warnings[0]
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o604)
    (folder / "config.toml").chmod(0o600)
    (warning,) = loaded(folder, 'auth_key_file = "key"').warnings
    assert "auth_key_file" in warning


def test_a_key_for_all_accounts_in_the_place_of_an_own_one_is_warned_about(folder: Path) -> None:
    (folder / "auth_key").write_text(KEY)
    both = CONFIG.format(key=f'auth_key = "{KEY}"')
    both += both.replace("home", "cabin").replace("grid", "lake")
    (folder / "config.toml").write_text(both)
    settings = load(folder / "config.toml", {"CREDENTIALS_DIRECTORY": str(folder)})
    assert sum("not its own" in warning for warning in settings.warnings) == 2


def test_the_key_file_beside_the_configuration_is_the_last_one_searched(folder: Path) -> None:
    """Root checks what the service will use without naming the file that its credential is made of."""
    (folder / "auth_key").write_text("key-beside-it\n")
    assert key_of(loaded(folder)) == "key-beside-it"
    assert key_of(loaded(folder, 'auth_key = "key-from-conf"')) == "key-from-conf"
    assert key_of(loaded(folder, "", {"SHELLY_COLLECTOR_AUTH_KEY": "key-from-env"})) == "key-from-env"


def test_a_problem_of_the_key_file_beside_the_configuration_names_it_once(folder: Path) -> None:
    """Bug: an installation by hand creates it empty, and the problem was of `FILE = FILE`."""
    (folder / "auth_key").touch()
    with pytest.raises(SettingsError) as caught:
        loaded(folder)
    (problem,) = caught.value.problems
    assert str(problem).count(str(folder / "auth_key")) == 1


def test_a_command_that_only_reads_files_needs_no_key(folder: Path) -> None:
    """`status` works for a user who may not read the key, and where there is none; keys are not read."""
    for key in ("", 'auth_key = "key-from-conf"', 'auth_key_file = "not-there"'):
        (folder / "config.toml").write_text(CONFIG.format(key=key))
        settings = load(folder / "config.toml", {"CREDENTIALS_DIRECTORY": str(folder)}, needs_keys=False)
        assert [meter.name for meter in settings.meters] == ["grid"]
        assert "key-from-conf" not in settings.secrets


def test_a_command_that_only_reads_files_reports_every_other_mistake(folder: Path) -> None:
    """The stand-in for the key hides no other problem."""
    (folder / "config.toml").write_text(CONFIG.format(key="") + 'kind = "5em"\nnonsense = 1\n')
    with pytest.raises(SettingsError) as caught:
        load(folder / "config.toml", {}, needs_keys=False)
    assert len(caught.value.problems) == 2
    (folder / "config.toml").write_text('account = "home"')
    with pytest.raises(SettingsError):
        load(folder / "config.toml", {}, needs_keys=False)
