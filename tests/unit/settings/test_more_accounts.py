"""More accounts, in the files `config.d/*.toml` beside the configuration file."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from collector.errors import Problem, SettingsError
from collector.settings import Settings, load, masked

KEY = "K3yOf" + "a1B2" * 20


def account(name: str, **values: str) -> str:
    """An account with one meter of the same name."""
    given = {"host": "shelly-12-eu.shelly.cloud", "auth_key": f"{name}{KEY}"} | values
    lines = "".join(f'{key} = "{value}"\n' for key, value in given.items())
    meter = f'[[account.meter]]\nname = "{name}"\nid = "a1b2c3d4e5f6"\n'
    return f'[[account]]\nname = "{name}"\n{lines}{meter}'


class Files:
    """A configuration file and the folder beside it."""

    def __init__(self, folder: Path) -> None:
        self.main = folder / "config.toml"
        self.folder = folder / "config.d"
        self.folder.mkdir()
        self.write("", account("home"))

    def write(self, name: str, text: str) -> Path:
        """Writes that file of the folder; without a name, the configuration file."""
        path = self.folder / name if name else self.main
        path.write_text(text)
        path.chmod(0o640)
        return path

    def settings(self) -> Settings:
        return load(self.main, {})

    def problems(self) -> list[Problem]:
        with pytest.raises(SettingsError) as caught:
            self.settings()
        return caught.value.problems


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def names(settings: Settings) -> list[str]:
    return [each.account.name for each in settings.accounts]


def test_the_accounts_of_all_files_follow_those_of_the_main_one_by_file_name(files: Files) -> None:
    files.write("b.toml", account("cabin") + account("shed"))
    files.write("a.toml", account("flat"))
    settings = files.settings()
    assert names(settings) == ["home", "flat", "cabin", "shed"]
    assert [each.name for each in settings.meters] == ["home", "flat", "cabin", "shed"]
    assert [each.source for each in settings.accounts] == [
        None,
        files.folder / "a.toml",
        files.folder / "b.toml",
        files.folder / "b.toml",
    ]
    assert settings.source == files.main
    assert settings.warnings == ()


def test_the_main_file_needs_no_account_of_its_own(files: Files) -> None:
    files.write("", "[log]\nlevel = 'debug'\n")
    files.write("a.toml", account("flat"))
    assert names(files.settings()) == ["flat"]
    files.write("a.toml", "# nothing yet\n")
    (problem,) = files.problems()
    assert (problem.field, problem.file) == ("account", "")


def test_the_folder_has_that_name_whatever_the_main_file_is_called(files: Files) -> None:
    files.write("a.toml", account("flat"))
    assert names(load(files.main.rename(files.main.with_name("my.toml")), {})) == ["home", "flat"]


def test_without_the_folder_there_is_only_the_main_file(files: Files) -> None:
    files.folder.rmdir()
    assert names(files.settings()) == ["home"]


@pytest.mark.parametrize(
    "name", [".a.toml", ".#a.toml", "a.toml~", "a.toml.bak", "a.toml.dpkg-new", "a", "A.TOML"]
)
def test_hidden_files_backups_and_other_files_are_not_read(files: Files, name: str) -> None:
    files.write(name, "not TOML")
    assert names(files.settings()) == ["home"]


def test_a_folder_with_another_name_is_not_read(files: Files) -> None:
    (files.folder / "old").mkdir()
    (files.folder / "old" / "a.toml").write_text("not TOML")
    assert names(files.settings()) == ["home"]


def test_an_empty_file_adds_nothing(files: Files) -> None:
    files.write("a.toml", "")
    assert names(files.settings()) == ["home"]


def test_a_link_to_a_file_is_followed_and_its_key_file_is_beside_the_link(
    files: Files, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere.toml"
    elsewhere.write_text(account("flat").replace("auth_key = ", "auth_key_file = 'key' #"))
    (files.folder / "a.toml").symlink_to(elsewhere)
    (files.folder / "key").write_text(KEY)
    (files.folder / "key").chmod(0o600)
    assert files.settings().accounts[1].account.auth_key == KEY


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a folder": (Path.mkdir, "is a directory"),
    "a link to nothing": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "a link to itself": (lambda path: path.symlink_to(path), "cannot be read"),
    "a device": (lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    "a pipe": (os.mkfifo, "not a regular file"),
    "huge": (lambda path: path.write_text("#" * 1_000_001), "larger"),
    "no TOML": (lambda path: path.write_text("[[account]\n"), "line 1"),
    "no text": (lambda path: path.write_bytes(b"\xff"), "UTF-8"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read_is_named_and_never_left_out(files: Files, kind: str) -> None:
    """Its accounts would no longer be collected, and nobody would know."""
    make, reason = UNREADABLE[kind]
    make(files.folder / "b.toml")
    files.write("c.toml", "= 1")
    first, second = files.problems()
    assert first.value == str(files.folder / "b.toml")
    assert reason in first.reason
    assert second.value == str(files.folder / "c.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_or_folder_without_permission_is_named(files: Files) -> None:
    file = files.write("a.toml", account("flat"))
    file.chmod(0)
    assert files.problems()[0].value == str(file)
    files.folder.chmod(0)
    try:
        assert files.problems()[0].value == str(files.folder)
    finally:
        files.folder.chmod(0o700)


def test_a_file_in_the_place_of_the_folder_and_a_link_to_no_folder_are_named(files: Files) -> None:
    files.folder.rmdir()
    files.folder.write_text("")
    (problem,) = files.problems()
    assert problem.value == str(files.folder)
    files.folder.unlink()
    files.folder.symlink_to("not-mounted")
    (problem,) = files.problems()
    assert problem.value == str(files.folder)


def test_only_accounts_may_be_in_it(files: Files) -> None:
    file = files.write("a.toml", f"[archive]\ndecimals = 5\n[[meter]]\nname = 'x'\n{account('flat')}")
    archive, meter = files.problems()
    assert (archive.field, archive.file) == ("archive", str(file))
    assert "config.toml" in archive.reason
    assert (meter.field, meter.file) == ("meter", str(file))
    assert "[[account.meter]]" in meter.reason
    files.write("a.toml", "account = 1")
    (problem,) = files.problems()
    assert (problem.field, problem.file) == ("account", str(file))


def test_every_problem_of_every_file_is_found_and_names_its_file(files: Files) -> None:
    files.write("", account("home", host="not a host") + "[log]\nlevel = 'loud'\n")
    first = files.write("a.toml", account("flat", host="not a host"))
    second = files.write("b.toml", account("cabin").replace("id =", "di ="))
    found = [(each.file, each.field) for each in files.problems()]
    assert sorted(found) == [
        ("", "account[home].host"),
        ("", "log.level"),
        (str(first), "account[flat].host"),
        (str(second), "account[cabin].meter[cabin].di"),
        (str(second), "account[cabin].meter[cabin].id"),
    ]
    with pytest.raises(SettingsError, match=f"{first}: account"):
        files.settings()


def test_names_are_unique_over_all_files_and_the_files_are_named(files: Files) -> None:
    files.write("a.toml", account("Home"))
    by_account, by_meter = files.problems()
    assert by_account.field == "account.name"
    assert by_meter.field == "meter.name"
    for each in (by_account, by_meter):
        assert "in config.toml and config.d/a.toml" in each.reason


def test_accounts_of_two_files_with_the_same_key_are_a_warning_that_names_them(files: Files) -> None:
    files.write("a.toml", account("flat", auth_key=f"home{KEY}"))
    (warning,) = files.settings().warnings
    assert "account[home] and account[flat] in config.d/a.toml" in warning
    assert KEY not in warning


def test_permissions_are_those_of_the_file_that_has_the_key(files: Files) -> None:
    file = files.write("a.toml", account("flat"))
    file.chmod(0o644)
    (warning,) = files.settings().warnings
    assert warning.startswith("config.d/a.toml: account[flat].auth_key: ")
    assert str(file) in warning


def test_a_key_beside_the_main_file_is_for_all_accounts(files: Files) -> None:
    beside = files.main.with_name("auth_key")
    beside.write_text(KEY)
    beside.chmod(0o600)
    files.write("a.toml", account("flat").replace("auth_key = ", "# "))
    assert files.settings().accounts[1].account.auth_key == KEY


def test_no_problem_shows_a_key_of_any_file(files: Files) -> None:
    files.write("a.toml", account("flat", host=f"flat{KEY[:25]}"[::-1], auth_key=f"flat{KEY[:25]}"[::-1]))
    assert f"flat{KEY[:25]}"[::-1] not in str(files.problems())


def test_names_of_files_are_shown_in_one_line(files: Files) -> None:
    files.write("a\n\x1b.toml", "[log]\n")
    files.write("b\n.toml", "[[")
    assert str(files.problems()[0]).isprintable()
    (files.folder / "b\n.toml").unlink()
    assert str(files.problems()[0]).isprintable()


def test_show_has_the_accounts_of_all_files_with_the_file_of_each(files: Files) -> None:
    files.write("a.toml", account("flat"))
    text = masked(files.settings())
    assert '[[account]]  # in "config.d/a.toml"\nname = "flat"' in text
    assert '[[account]]\nname = "home"' in text
    assert KEY not in text
