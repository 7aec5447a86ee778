"""The configuration that `setup` writes, and one that it adds to: everything else in the file stays."""

from __future__ import annotations

import errno
import os
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.cloud.meters import Kind, Meter
from collector.settings import parse
from collector.setup.configuration import NewFile, NewMeter, new_text, save_together, with_key, with_meters

HOST, KEY, NEW_KEY = "shelly-12-eu.shelly.cloud", "0A1B2C3D4E5F" * 6, "F5E4D3C2B1A0" * 6
EM = Meter("house", "e8db84d2a1b3")
METERS = (
    EM,
    Meter("swapped", "e8db84d2a1b4", grid_channel=1, solar_channel=0),
    Meter("no-roof", "e8db84d2a1b5", solar=False),
    Meter("pair", "34987a45c1d0", Kind.EM3, pv_id="34987a45c1d1"),
)
BARN = [NewMeter(Meter("barn", "a8032abe41fc", solar=False), "Barn")]
FILE = """\
# mine
[archive]
path = "/srv/energy"   # a disk

[[account]]
name = "home"  # the first
host = "shelly-12-eu.shelly.cloud"
auth_key = '0A1B2C3D4E5F'

[[account.meter]]
name = "house"
id = "e8db84d2a1b3"

# the cabin
# has a server of its own
[[ account ]] # second
name = "cabin"
host = "shelly-13-eu.shelly.cloud"
[[account.meter]]
name = "cabin"
id = "e8db84d2a1b4"

[log]
level = "debug"
# the end"""


@given(st.text(max_size=60))
def test_a_new_configuration_is_read_as_the_meters_that_were_chosen(called: str) -> None:
    """Whatever they are called in the app, which is in a comment."""
    text = new_text(HOST, [NewMeter(each, called) for each in METERS], Path("/srv/energy"))
    settings = parse(tomllib.loads(text), {}, None, needs_keys=False)
    assert settings.accounts[0].account.base_url == f"https://{HOST}"
    assert settings.meters == METERS
    assert settings.archive == Path("/srv/energy")


def test_a_new_configuration_has_only_what_differs_from_the_defaults() -> None:
    text = new_text(HOST, [NewMeter(EM, "House")], None)
    assert re.findall(r"(?m)^[^#\n].*", text) == [
        "[[account]]",
        'name = "home"',
        f'host = "{HOST}"',
        "[[account.meter]]",
        'name = "house"',
        'id = "e8db84d2a1b3"',
    ]
    assert max(map(len, text.splitlines())) <= 80


def test_the_header_named_a_manual_page_that_is_not_installed() -> None:
    first, second = (new_text(HOST, [], None, has_manual=each).splitlines()[1] for each in (False, True))
    assert first == "# All settings: docs/reference/settings.md."
    assert second == "# All settings: `man shelly-collector.toml`."


@pytest.mark.parametrize("account", [0, 1])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_new_meter_is_added_and_every_other_line_stays(account: int, end: str, mark: str) -> None:
    """Comments, line ends, a byte order mark, a last line without its end."""
    before = mark + FILE.replace("\n", end)
    after = with_meters(before, account, BARN)
    added = [line for line in after.split(end) if line not in before.split(end)]
    assert added == ["# Barn", 'name = "barn"', 'id = "a8032abe41fc"', "solar = false"]
    parsed = tomllib.loads(after.removeprefix("\ufeff"))
    assert [meter["name"] for meter in parsed["account"][account]["meter"]][-1] == "barn"
    assert ("\r" in after) == (end == "\r\n")
    assert not re.search("(?<!\r)\n", after) or end == "\n"
    kept = [line for line in after.split(end) if line not in added]
    lines = iter(kept)
    assert all(line in lines for line in before.split(end))  # in their order


def test_the_comment_above_the_next_account_stays_with_it() -> None:
    after = with_meters(FILE, 0, BARN)
    assert "# the cabin\n# has a server of its own\n[[ account ]] # second\n" in after
    assert after.index('name = "barn"') < after.index("# the cabin")


@pytest.mark.parametrize(
    "text",
    [
        'account = [{name = "home", host = "h", meter = []}]\n',
        'x = """\n[[account]]\n"""\n[[account]]\nname = "a"\n[[account]]\nname = "b"\n',
        "[account]\n",
        "[[account\n",
        "",
    ],
)
def test_a_file_that_cannot_be_added_to_is_refused(text: str) -> None:
    """Tables in one line, headings in a text: nothing is guessed."""
    with pytest.raises(ValueError, match=r"."):
        with_meters(text, 0, BARN)


_LINES = st.sampled_from([
    "# c", "", "  ", "[[account]]", " [[ account ]] # x", '[[account.meter]]', 'name = "a"', "[log]", "x = 1",
    "y = '''", "[[account]]'''", "[archive]", 'z = ["[[account]]"]',
])  # fmt: skip


@given(st.lists(_LINES, max_size=14), st.integers(0, 2))
def test_any_file_is_added_to_in_the_right_place_or_refused(lines: list[str], account: int) -> None:
    text = "\n".join(lines)
    try:
        before = tomllib.loads(text)
        after = tomllib.loads(with_meters(text, account, BARN))
    except ValueError:
        return
    added = after["account"][account]["meter"].pop()
    assert added == {"name": "barn", "id": "a8032abe41fc", "solar": False}
    if "meter" not in before["account"][account]:
        del after["account"][account]["meter"]
    assert after == before


@pytest.mark.parametrize("quote", ['"', "'"])
def test_a_key_in_the_file_is_replaced_in_its_place(quote: str) -> None:
    text = f"[[account]]\nname = 'a'\nauth_key = {quote}{KEY}{quote}  # the key\r\nhost = 'h'\n"
    after = with_key(text, KEY, NEW_KEY)
    assert after == text.replace(f"{quote}{KEY}{quote}", f'"{NEW_KEY}"')


@pytest.mark.parametrize(
    "text",
    [
        "[[account]]\nname = 'a'\n",
        f"[[account]]\nauth_key = '{KEY}'\n[[account]]\nauth_key = '{KEY}'\n",
        f'[[account]]\nauth_key = """{KEY}"""\n',
        f"# auth_key = '{KEY}'\n[[account]]\nname = 'a'\n",
    ],
)
def test_a_key_that_is_not_in_one_line_of_its_own_is_not_replaced(text: str) -> None:
    with pytest.raises(ValueError, match="line of its own") as caught:
        with_key(text, KEY, NEW_KEY)
    assert KEY not in str(caught.value)


def fails(call: Callable[..., Any], place: int, number: int = errno.ENOSPC) -> Callable[..., Any]:
    """The call, which fails once: at that place, counted from 1."""
    places = iter(range(1, 100))

    def called(*words: Any, **more: Any) -> Any:
        if next(places) == place:
            raise OSError(number, os.strerror(number))
        return call(*words, **more)

    return called


# -- Saving -------------------------------------------------------------------------------------------


def files(folder: Path) -> list[NewFile]:
    return [NewFile(folder / "auth_key", b"key\n", 0o600), NewFile(folder / "config.toml", b"text\n", 0o640)]


def test_new_files_have_their_modes_and_present_ones_keep_theirs(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("old")
    (tmp_path / "config.toml").chmod(0o604)
    save_together(files(tmp_path))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {"auth_key": 0o600, "config.toml": 0o604}
    assert (tmp_path / "config.toml").read_text() == "text\n"


def test_a_secret_that_others_could_read_is_read_by_none_of_them_any_more(tmp_path: Path) -> None:
    (tmp_path / "auth_key").write_text("old")
    for before, after in ((0o644, 0o640), (0o600, 0o600), (0o666, 0o660)):
        (tmp_path / "auth_key").chmod(before)
        save_together([NewFile(tmp_path / "auth_key", b"new", 0o600, is_secret=True)])
        assert stat.S_IMODE((tmp_path / "auth_key").stat().st_mode) == after


def test_an_owner_that_cannot_be_kept_was_an_error_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file with another user's rights is named, and all files stay as they were."""
    for each in files(tmp_path):
        each.path.write_text("old")
    monkeypatch.setattr(os, "fchown", fails(os.fchown, 2, errno.EPERM))
    with pytest.raises(PermissionError, match="only root can keep that") as caught:
        save_together(files(tmp_path))
    assert caught.value.filename == str(tmp_path / "config.toml")
    assert {each.path.read_text() for each in files(tmp_path)} == {"old"}


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "config.toml").symlink_to("real/config.toml")
    save_together(files(tmp_path))
    assert (tmp_path / "config.toml").is_symlink()
    assert (tmp_path / "real/config.toml").read_text() == "text\n"


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize("call", ["write", "fsync", "replace", "second replace"])
def test_a_failure_leaves_all_files_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, is_new: bool
) -> None:
    """A full disk, a card that went read-only between the two: no new key stays beside an old file."""
    if not is_new:
        for each in files(tmp_path):
            each.path.write_text("old")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    if call == "write":
        (tmp_path / f".config.toml.new-{os.getpid()}").mkdir()  # in the way
    else:
        name, place = call.split()[-1], 2 if "second" in call else 1
        monkeypatch.setattr(os, name, fails(getattr(os, name), place))
    with pytest.raises(OSError, match=r"."):
        save_together(files(tmp_path))
    monkeypatch.undo()
    for folder in (each for each in tmp_path.iterdir() if each.is_dir()):
        folder.rmdir()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
