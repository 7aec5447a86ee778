"""A new key and new meters in a configuration that is there: in their place, and nothing else changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.cloud.meters import Account, Meter
from collector.errors import SettingsError
from collector.settings import AccountSettings
from collector.setup.changes import CannotChange, Change, Present, changes_of, new_files, read_present
from collector.setup.configuration import NewMeter

HOST, KEY, NEW_KEY = "https://shelly-12-eu.shelly.cloud", "0A1B2C3D4E5F" * 6, "F5E4D3C2B1A0" * 6
BARN = NewMeter(Meter("barn", "a8032abe41fc"), "Barn")
HOME = '[[account]]\nname = "home"\nhost = "shelly-12-eu.shelly.cloud"\n'
METER = '[[account.meter]]\nname = "house"\nid = "e8db84d2a1b3"\n'
CABIN = HOME.replace("home", "cabin") + METER.replace("house", "cabin").replace("b3", "b4")


def present(folder: Path, text: str, key: str | None = KEY, cabin: str = "") -> tuple[Path, Present]:
    path = folder / "config.toml"
    path.write_text(text)
    if key is not None:
        (folder / "auth_key").write_text(key)
    if cabin:
        (folder / "config.d").mkdir()
        (folder / "config.d/cabin.toml").write_text(cabin)
    return path, read_present(path, {"SHELLY_COLLECTOR_AUTH_KEY": NEW_KEY, "HOME": "/nowhere"})


def changed(
    path: Path, there: Present, own: AccountSettings, *meters: NewMeter, key: str = KEY
) -> dict[Path, Change]:
    found = changes_of(path, there, own, Account("home", HOST, key), meters)
    return {each.file.path: each for each in found}


def test_what_is_as_it_was_is_no_change(tmp_path: Path) -> None:
    """The key of this command's environment is not taken for that of the file."""
    path, there = present(tmp_path, HOME + METER)
    assert there.settings.accounts[0].account.auth_key == KEY
    assert changed(path, there, there.settings.accounts[0]) == {}


def test_the_key_beside_the_configuration_is_replaced_there(tmp_path: Path) -> None:
    path, there = present(tmp_path, HOME + METER)
    found = changed(path, there, there.settings.accounts[0], key=NEW_KEY)
    assert [(name.name, each.after, bool(each.secret)) for name, each in found.items()] == [
        ("auth_key", f"{NEW_KEY}\n", True)
    ]


@pytest.mark.parametrize("named", ["my.key", "./my.key", "{folder}/my.key"])
def test_the_key_is_replaced_in_the_file_that_the_account_names(tmp_path: Path, named: str) -> None:
    (tmp_path / "my.key").write_text(KEY)
    name = named.format(folder=tmp_path)
    path, there = present(tmp_path, f'{HOME}auth_key_file = "{name}"\n{METER}', key=None)
    found = changed(path, there, there.settings.accounts[0], key=NEW_KEY)
    assert [each.resolve() for each in found] == [tmp_path / "my.key"]


def test_the_key_in_the_configuration_is_replaced_with_new_meters_beside_it(tmp_path: Path) -> None:
    path, there = present(tmp_path, f'{HOME}auth_key = "{KEY}"  # secret\n{METER}', key=None)
    (change,) = changed(path, there, there.settings.accounts[0], BARN, key=NEW_KEY).values()
    assert change.after.startswith(f'{HOME}auth_key = "{NEW_KEY}"  # secret\n{METER}')
    assert 'name = "barn"' in change.after
    assert not change.secret


@pytest.mark.parametrize("key", [None, "", '"in quotes"'])
def test_a_key_that_cannot_be_used_is_replaced(tmp_path: Path, key: str | None) -> None:
    """Missing, empty, or damaged."""
    path, there = present(tmp_path, HOME + METER, key)
    assert not there.has_keys
    found = changed(path, there, there.settings.accounts[0], key=NEW_KEY)
    assert [name.name for name in found] == ["auth_key"]


def test_a_meter_of_an_account_with_a_file_of_its_own_is_added_there(tmp_path: Path) -> None:
    (tmp_path / "cabin.key").write_text(NEW_KEY)
    cabin = CABIN.replace("[[account.meter]]", 'auth_key_file = "../cabin.key"\n[[account.meter]]')
    path, there = present(tmp_path, HOME + METER, cabin=cabin)
    own = there.settings.accounts[1]
    found = changed(path, there, own, BARN, key=NEW_KEY)
    assert [name.name for name in found] == ["cabin.toml"]
    assert found[tmp_path / "config.d/cabin.toml"].after.startswith(cabin)


def test_a_key_that_may_be_that_of_several_accounts_is_not_replaced(tmp_path: Path) -> None:
    path, there = present(tmp_path, f"{HOME}{METER}{CABIN}")
    with pytest.raises(CannotChange, match="several accounts"):
        changed(path, there, there.settings.accounts[0], key=NEW_KEY)


def test_a_file_in_another_form_is_left_alone_and_the_meters_are_given_to_add_by_hand(tmp_path: Path) -> None:
    """An account as a table in one line."""
    meter = '{name = "house", id = "e8db84d2a1b3"}'
    text = f'account = [{{name = "home", host = "h.shelly.cloud", meter = [{meter}]}}]'
    path, there = present(tmp_path, text)
    with pytest.raises(CannotChange, match="without changing other parts") as caught:
        changed(path, there, there.settings.accounts[0], BARN)
    assert caught.value.by_hand.startswith("[[account.meter]]\n")
    assert path.read_text() == text


def test_a_configuration_with_errors_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        present(tmp_path, "[archiv]\n")


def test_a_new_configuration_comes_with_its_key_first(tmp_path: Path) -> None:
    """The group may read the configuration; the key is its owner's alone."""
    account = Account("home", HOST, KEY)
    for group, mode in ((-1, 0o600), (990, 0o640)):
        key, file = new_files(tmp_path / "config.toml", account, [BARN], None, group)
        assert (key.file.path.name, key.file.mode, key.file.group) == ("auth_key", 0o600, -1)
        assert (file.file.path.name, file.file.mode, file.file.group) == ("config.toml", mode, group)
        assert KEY not in file.after


def test_a_present_key_file_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "auth_key").write_text(f"{KEY}\n")
    found = new_files(tmp_path / "config.toml", Account("home", HOST, KEY), [BARN], None, -1)
    assert [each.file.path.name for each in found] == ["config.toml"]
