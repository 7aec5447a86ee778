"""`config check` and `config show`, as a user runs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from collector.cli import main
from collector.service import systemd

KEY = "S3cretKey" * 9
GOOD = f"""
[archive]
path = "/srv/energy"
[[account]]
name = "home"
host = "shelly-12-eu.shelly.cloud"
auth_key = "{KEY}"
[[account.meter]]
name = "grid"
id = "a1b2c3d4e5f6"
"""


def run(*words: str) -> int:
    return main(["config", *words])


@pytest.fixture(autouse=True)
def environ(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("SHELLY_COLLECTOR_CONFIG", "CONFIGURATION_DIRECTORY", "SHELLY_COLLECTOR_AUTH_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(GOOD)
    path.chmod(0o600)
    return path


def test_check_prints_in_one_line_what_a_good_configuration_has(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", "--config", str(file)) == 0
    assert capsys.readouterr() == ("OK: 1 account, 1 meter, archive /srv/energy\n", "")


def test_check_prints_every_problem_on_a_line_of_its_own(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(GOOD.replace("a1b2c3d4e5f6", "x").replace("[archive]", "[archive]\ndecimal = 3"))
    assert run("check", "--config", str(file)) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 2
    assert all(line.startswith(f"{file}: ") for line in err.splitlines())
    assert KEY not in err


def test_check_warns_and_still_succeeds(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o644)
    assert run("check", "--config", str(file)) == 0
    out, err = capsys.readouterr()
    assert out.startswith("OK: ")
    assert "warning: " in err


def test_check_applies_the_restrictions_of_the_unit(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: it was OK, and the service ended with exit 73 every 15 seconds."""
    shutil.copy(Path(__file__).parents[3] / "systemd" / systemd.UNIT, tmp_path)
    monkeypatch.setattr(systemd, "PLACES", (tmp_path,))
    assert run("check", "--config", str(file)) == 0
    monkeypatch.setattr(systemd, "CONFIGURATION", file)
    capsys.readouterr()
    assert run("check", "--config", str(file)) == 78
    out, err = capsys.readouterr()
    assert out == ""
    assert "archive.path = /srv/energy: " in err
    assert "ReadWritePaths=/srv/energy" in err
    assert run("show", "--config", str(file)) == 0


def test_show_prints_what_is_in_force_without_the_key(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "--config", str(file)) == 0
    out, err = capsys.readouterr()
    assert 'auth_key = "***"  # from auth_key, not shown\n' in out
    assert KEY not in out + err


def test_without_a_configuration_it_lists_where_it_searched_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check") == 78
    err = capsys.readouterr().err
    assert f"{tmp_path}/none/shelly-collector/config.toml" in err
    assert "--config FILE" in err


def test_a_file_that_does_not_exist_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It was "FILE: configuration = FILE: there is no such file", as if that were a setting."""
    assert run("check", "--config", str(tmp_path / "none.toml")) == 78
    assert capsys.readouterr().err == f"{tmp_path}/none.toml: no such file\n"


@pytest.mark.parametrize("place", ["/dev/null", "file", "file/x"])
def test_check_called_a_place_right_where_no_archive_can_be(
    place: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bug: "OK", and the service ended with 73."""
    (tmp_path / "file").touch()
    file.write_text(GOOD.replace("/srv/energy", str(tmp_path / place)))
    assert run("check", "--config", str(file)) == 78
    assert "is not a folder" in capsys.readouterr().err


def test_each_problem_names_the_file_that_it_is_in(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The configuration file, or one in `config.d` beside it."""
    file.write_text(GOOD.replace("a1b2c3d4e5f6", "x"))
    more = file.parent / "config.d"
    more.mkdir()
    (more / "b.toml").write_text(GOOD.replace("home", "cabin").replace("grid", "shed"))
    assert run("check", "--config", str(file)) == 78
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"{more}/b.toml: archive: ")
    assert second.startswith(f"{file}: account[home].meter[grid].id = x: ")
    (more / "c.toml").write_text("[[")
    assert run("check", "--config", str(file)) == 78
    assert capsys.readouterr().err.startswith(f"{more}/c.toml: is not valid TOML")


def test_check_counts_the_accounts_of_all_files(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = file.parent / "config.d"
    more.mkdir()
    text = GOOD.replace("home", "cabin").replace("grid", "shed").replace(KEY, KEY[::-1])
    (more / "b.toml").write_text(text.partition('energy"\n')[2])
    (more / "b.toml").chmod(0o600)
    assert run("check", "--config", str(file)) == 0
    assert capsys.readouterr() == ("OK: 2 accounts, 2 meters, archive /srv/energy\n", "")
