"""`setup` as a person meets it on a terminal, and a script without one, against the simulated cloud."""

from __future__ import annotations

import os
import re
import shlex
import stat
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.processes import (
    PROGRAM,
    ROOT,
    Cloud,
    collector,
    environment,
    forks,
    started,
    stop,
    wait_for,
)
from tests.support.terminal import COLUMNS, CTRL_C, CTRL_D, Terminal, controls_in
from tests.support.world import KEY

NEW_KEY = "SIMULATED0NEW0KEY0OF0THE0TESTS"
HOUSE, BARN, CABIN = "34987a45c1d0", "e8db84d2a1b3", "a8032abe41fc"
YOUNG = (datetime.now(UTC) - timedelta(days=9)).date()  # noqa: TID251 - as the processes do


def device(id_: str, name: str, more: str = "") -> str:
    """A device that is young, so that its oldest day is soon found."""
    return f'[[account.device]]\nid = "{id_}"\nname = "{name}"\ninstalled_since = {YOUNG}\n{more}\n'


def account(*devices: str, key: str = KEY, more: str = "") -> str:
    limit = '{ style = "lax", limit_s = 0.5 }'
    head = f'[[account]]\nname = "home"\nauth_key = "{key}"\n{more}\nlimit = {limit}\n'
    return head + "".join(devices)


ONE = account(device(HOUSE, "House", 'kind = "3em"'))
"""One 3EM: its clamps need no request."""


class Home:
    """A person's home folder, and the command in it."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder, self.cloud = folder, cloud
        self.config = folder / ".config/shelly-collector/config.toml"
        self.key = self.config.with_name("auth_key")

    def env(self, **more: str) -> dict[str, str]:
        return environment(HOME=str(self.folder), TERM="xterm", **more)

    def terminal(self, *words: str, **more: str) -> Terminal:
        config = ["--config", str(self.config), "--archive", str(self.folder / "data")]
        if self.config.exists():
            config = config[:2]
        return Terminal([*PROGRAM, "setup", *config, *words], self.env(**more), ROOT)

    def script(self, *words: str, **more: str) -> tuple[int, str, str]:
        """Without a terminal."""
        config = ["--config", str(self.config), "--archive", str(self.folder / "data")]
        if self.config.exists():
            config = config[:2]
        done = collector("setup", *config, *words, env={"HOME": str(self.folder), **more})
        assert KEY not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr

    def write(self, rest: str, end: str = "\n") -> None:
        """A configuration that is there already, for a simulated cloud without a rate limit."""
        self.config.parent.mkdir(parents=True)
        text = (
            f'# mine\n[archive]\npath = "{self.folder}/data"\n[pacing]\nmin_interval_s = 0\n'
            f'[[account]] # home\nname = "home"\nhost = "{self.cloud.url}"\n{rest}'
        )
        self.config.write_bytes(text.replace("\n", end).encode())
        self.config.chmod(0o640)

    def text(self) -> str:
        return self.config.read_bytes().decode()

    def meters(self) -> list[str]:
        (found,) = tomllib.loads(self.text())["account"]
        return [meter["name"] for meter in found["meter"]]

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }


@pytest.fixture
def home(tmp_path: Path, cloud: Cloud) -> Iterator[Home]:
    cloud.play(ONE)
    (tmp_path / "home").mkdir()
    yield Home(tmp_path / "home", cloud)
    counts = cloud.counts()
    assert counts["total"]["rejections"] == 0  # half a second is left for a machine with much to do
    assert counts["total"]["keys_outside_query"] == 0


def assert_for_every_terminal(screen: str) -> None:
    """No line is broken by the terminal, nothing moves the cursor, and the key is nowhere."""
    assert controls_in(screen) == []
    assert [line for line in screen.split("\n") if len(line) > COLUMNS and "/" not in line] == []
    assert KEY not in screen
    assert NEW_KEY not in screen


def test_a_person_comes_from_a_key_to_a_configuration_that_works(home: Home) -> None:
    """Server, key, and Enter four times. The program is not on PATH: it is named as it was called.

    Bug: for the page in the home network only a name in .local was shown, or "ADDRESS".
    """
    with home.terminal(PATH=str(home.folder)) as terminal:
        terminal.answer("Server: ", f" {home.cloud.url}/ ")
        terminal.answer("Key ", KEY)
        terminal.answer("Enter for all")
        terminal.answer("[house]: ")
        terminal.answer("Where? [1]: ", "7")
        terminal.answer("from 1 to 3.\nWhere? [1]: ", "2")
        shown = terminal.wait_for("Write this?")
        assert not home.config.exists()
        terminal.answer("[y]: ")
        code, screen = terminal.end()
    assert code == 0
    assert_for_every_terminal(screen)
    assert "House" in screen and "3EM, three phases" in screen and "online" in screen
    assert f"seem to begin on {YOUNG}" in " ".join(shown.split())
    assert "10 days" in shown
    python = shlex.quote(sys.executable)  # a person's folder may have a space in its name
    assert f"\n    {python} -m collector backfill\n" in screen
    assert f"\n    {python} -m collector run\n" in screen
    assert "9 of 10 checks are ok; 1 skipped." in screen
    assert home.meters() == ["house"]
    web, password = tomllib.loads(home.text())["web"], home.config.with_name("page_password")
    assert (web["listen"], web["password_file"]) == ("0.0.0.0:9787", str(password))
    assert re.fullmatch(r"([a-z]{4}-){3}[a-z]{4}\n", password.read_text())
    assert password.read_text().strip() not in screen
    assert "use this machine's address, which `hostname -I` shows." in " ".join(screen.split())
    assert stat.S_IMODE(password.stat().st_mode) == 0o600
    assert home.key.read_text() == f"{KEY}\n"
    assert stat.S_IMODE(home.key.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o600
    assert collector("config", "check", "--config", str(home.config)).returncode == 0
    assert collector("backfill", "--config", str(home.config), "--days", "1").returncode == 0
    assert len(list((home.folder / "data/house").glob("*.jsonl"))) in (1, 2)


def test_what_is_wrong_with_server_and_key_is_said_at_once(home: Home) -> None:
    """Before anything is requested; and what was typed as a key is never shown."""
    with home.terminal() as terminal:
        for text, cause in (
            ("", "Nothing was entered"),
            ("me@example.org", "e-mail address"),
            ("https://my.shelly.cloud", "web page"),
            ("http://example.org", "unencrypted"),
        ):
            terminal.answer("Server: ", text)
            terminal.wait_for(cause)
        terminal.answer("Server: ", home.cloud.url)
        for text, cause in (
            ("hunter2", "The password of the"),
            ("", "empty"),
            (f'"{KEY}"', "quotes"),
            (f"{KEY[:9]} {KEY[9:]}", "spaces"),
        ):
            terminal.answer("Key ", text)
            terminal.wait_for(cause)
        assert home.cloud.counts()["total"]["requests"] == 0
        terminal.answer("Key ", f"\u00a0{KEY}\u00a0")
        terminal.answer("Enter for all", CTRL_C)
        code, screen = terminal.end()
    assert code == 130
    assert "hunter2" not in screen
    assert_for_every_terminal(screen)


@pytest.mark.slow
def test_a_refused_key_and_a_wrong_server_are_asked_for_again(home: Home) -> None:
    """The message names both causes; what was right is kept with Enter."""
    with home.terminal("--host", home.cloud.url) as terminal:
        terminal.answer("Key ", NEW_KEY)
        shown = " ".join(terminal.wait_for("Server [").split())
        assert "The cloud refused the key" in shown
        assert "another region" in shown
        terminal.type("127.0.0.1:1")
        terminal.answer("Key (Enter keeps", KEY)
        terminal.wait_for("The cloud did not answer")
        terminal.answer("Server [", home.cloud.url)
        terminal.answer("Key (Enter keeps")
        terminal.answer("Enter for all", "0")
        code, screen = terminal.end()
    assert code == 1
    assert home.files() == {}
    assert_for_every_terminal(screen)


@pytest.mark.slow
def test_what_is_typed_before_a_question_does_not_answer_it(home: Home) -> None:
    """Enter while the cloud is requested must not agree to what is not shown yet."""
    with home.terminal("--host", home.cloud.url, SHELLY_COLLECTOR_AUTH_KEY=KEY) as terminal:
        terminal.wait_for("Looking for the meters")
        terminal.type("0")
        terminal.answer("Enter for all", "1")
        terminal.answer("[house]: ")
        terminal.answer("Where? [1]: ", "3")
        terminal.wait_for("Looking how far back")
        terminal.type("n")
        terminal.answer("[y]: ", "y")
        code, _ = terminal.end()
    assert code == 0
    assert home.meters() == ["house"]


QUESTIONS = ("Server: ", "Key ", "Enter for all", "[house]: ", "Where?", "Write this?")


@pytest.mark.parametrize(
    ("stopped_at", "keys"), [*((each, CTRL_C) for each in QUESTIONS), ("Server: ", CTRL_D), ("Key ", CTRL_D)]
)
def test_ctrl_c_at_any_question_leaves_nothing_behind(home: Home, stopped_at: str, keys: str) -> None:
    """Exit 130, and the terminal shows again what is typed."""
    answers = dict(zip(QUESTIONS, (home.cloud.url, KEY, "", "", "", ""), strict=True))
    with home.terminal() as terminal:
        for question, text in answers.items():
            if question == stopped_at:
                terminal.answer(question, keys)
                break
            terminal.answer(question, text)
        code, screen = terminal.end()
    assert code == 130
    assert screen.rstrip().endswith("Nothing was written.")
    assert home.files() == {}


def test_a_kill_at_the_key_gives_the_terminal_its_echo_back(home: Home) -> None:
    with home.terminal("--host", home.cloud.url) as terminal:
        terminal.wait_for("Key ")
        terminal.wait_for_silence()
        terminal.process.terminate()
        terminal.wait_for("Nothing was written.")
        assert terminal.echoes()
        assert terminal.process.wait(10) == 130


def test_after_ctrl_z_and_fg_the_key_was_shown(home: Home) -> None:
    """And afterwards, while the cloud is requested, what is typed is not shown either."""
    with home.terminal("--host", home.cloud.url) as terminal:
        terminal.answer("Key ", "")
        terminal.wait_for("empty")
        terminal.wait_for("Key ")
        terminal.wait_for_silence()
        terminal.leave_and_come_back()
        terminal.answer("Key ", KEY)
        terminal.wait_for("Looking for the meters")
        terminal.wait_for_silence()
        terminal.type("again?")
        terminal.answer("Enter for all", CTRL_C)
        assert terminal.echoes()
        code, screen = terminal.end()
    assert code == 130
    assert KEY not in screen
    assert "again?" not in screen


def test_without_a_terminal_nothing_is_asked(home: Home) -> None:
    """It names the flags that are missing; exit 2, no request."""
    for words, missing in (
        ((), ("--host", "--key-file", "$SHELLY_COLLECTOR_AUTH_KEY", "--yes")),
        (("--host", home.cloud.url), ("--key-file", "--yes")),
        (("--host", home.cloud.url, "--dry-run"), ("--key-file",)),
    ):
        code, out, err = home.script(*words)
        assert (code, out) == (2, "")
        assert all(each in err for each in missing)
    code, _, err = home.script("--host", "me@example.org", "--yes", SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert (code, "e-mail" in err) == (2, True)
    assert home.cloud.counts()["total"]["requests"] == 0
    assert home.files() == {}


@pytest.mark.parametrize(
    ("archive", "code", "cause"),
    [
        ("", 2, "--archive: the path is empty."),
        ("a\nb", 2, "--archive: the path has control characters."),
        ("~nouser-here/x", 2, "--archive: no user nouser-here has a home folder here."),
        ("/etc/passwd", 73, "/etc/passwd is not a folder: name another folder"),
        ("/etc/passwd/x", 73, "/etc/passwd is not a folder: name another folder"),
        ("/nowhere/at/all", 73, "/nowhere/at does not exist: mount the disk"),
    ],
)
def test_an_archive_that_cannot_be_ended_the_command_with_a_traceback(
    home: Home, archive: str, code: int, cause: str
) -> None:
    """One sentence, before anything is asked or requested."""
    words = ("--host", home.cloud.url, "--yes", "--archive", archive)
    found, out, err = home.script(*words, SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert cause in err
    assert home.cloud.counts()["total"]["requests"] == 0
    assert home.files() == {}


@pytest.mark.parametrize("name", ["locked", "locked/data", "locked/deep/data"])
def test_an_archive_that_may_not_be_entered_ended_the_command_with_a_traceback(home: Home, name: str) -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        (Path(folder) / "locked").mkdir(mode=0)
        words = (
            "--config",
            f"{folder}/config.toml",
            "--archive",
            f"{folder}/{name}",
            "--host",
            home.cloud.url,
        )
        env = {"HOME": folder, "SHELLY_COLLECTOR_AUTH_KEY": KEY}
        found = forks().run("setup", *words, "--yes", uid=65534 if os.geteuid() == 0 else 0, env=env)
        assert (found.code, found.out) == (73, "")
        assert found.err.startswith(f"No permission to use {folder}/locked: run it with sudo")
    assert home.cloud.counts()["total"]["requests"] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to others")
def test_the_file_of_another_user_was_refused_only_when_it_was_written(home: Home) -> None:
    """Its owner could not be kept, and all the answers were lost."""
    home.write(f'[[account.meter]]\nname = "house"\nid = "{HOUSE}"\nkind = "3em"\n')
    home.key.write_text(KEY)
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        for each in (home.config, home.key):
            copy = Path(folder, each.name)
            copy.write_bytes(each.read_bytes())
            copy.chmod(0o644)
            os.chown(copy, 0 if each == home.config else 65534, 65534)
        env = {"HOME": folder, "SHELLY_COLLECTOR_AUTH_KEY": KEY}
        words = ("--config", f"{folder}/config.toml", "--host", home.cloud.url, "--yes")
        found = forks().run("setup", *words, uid=65534, env=env)
    assert (found.code, found.out) == (73, "")
    assert found.err.startswith(f"{folder}/config.toml belongs to another user or group")
    assert home.cloud.counts()["total"]["requests"] == 0


@pytest.mark.slow
def test_a_script_shows_first_and_then_writes(home: Home) -> None:
    """`--dry-run`, then `--yes`, with the key in a file."""
    file = home.folder / "key.txt"
    file.write_text(f"{KEY}\n")
    words = ("--host", home.cloud.url, "--key-file", str(file))
    code, out, _ = home.script(*words, "--dry-run")
    assert code == 0
    assert 'name = "house"' in out
    assert set(home.files()) == {"key.txt"}
    code, out, err = home.script(*words, "--yes")
    assert (code, err) == (0, "")
    assert home.meters() == ["house"]


@pytest.mark.parametrize(
    ("play", "code", "words"),
    [
        (account(device(HOUSE, "House"), key=NEW_KEY), 77, ["refused the key"]),
        (account(more="other_devices = 100"), 1, ["no energy meter", "another region"]),
        pytest.param(
            ONE + '[[fault]]\nkind = "maintenance"\n', 69, ["did not answer"], marks=pytest.mark.slow
        ),
    ],
)
def test_a_script_ends_with_the_codes_of_the_other_commands(
    home: Home, play: str, code: int, words: list[str]
) -> None:
    home.cloud.play(play)
    found, out, err = home.script("--host", home.cloud.url, "--yes", SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert found == code
    assert all(each in " ".join((out + err).split()) for each in words)
    assert home.files() == {}


@pytest.mark.slow
def test_names_of_the_app_become_folders_that_are_safe_and_different(home: Home) -> None:
    """Dots, slashes, an emoji, the same as another's; a hundred plugs are not listed."""
    names = {HOUSE: "../../🚗 etc", "34987a45c1d1": "Etc"}
    three = [device(each, name, 'kind = "3em"') for each, name in names.items()]
    home.cloud.play(account(*three, more='other_devices = 100\nentries = "channel"\nouter_keys = "others"'))
    code, out, err = home.script("--host", home.cloud.url, "--dry-run", SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert (code, err) == (0, "")
    shown = [line.split('"')[1] for line in out.splitlines() if line.startswith("    name = ")]
    assert shown == ["home", "etc", "etc-2"]
    assert "2 meters, and 100 other devices" in out


@pytest.mark.slow
def test_statuses_that_are_gone_cost_the_unknown_models_and_nothing_else(home: Home) -> None:
    home.cloud.play(account(device(HOUSE, "House", 'kind = "3em"'), more='all_status = "gone"'))
    code, out, _ = home.script("--host", home.cloud.url, "--dry-run", SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert code == 0
    assert "404" in out
    assert 'name = "house"' in out


def test_a_key_that_changed_is_replaced_after_the_cloud_accepted_it(home: Home) -> None:
    """A wrong one leaves the old one where it is; the configuration stays as it is to the last byte."""
    home.write(f'[[account.meter]]\nname = "house"\nid = "{HOUSE}"\nkind = "3em" # mine\n')
    home.key.write_text(KEY)
    home.key.chmod(0o600)
    home.cloud.play(ONE.replace(KEY, NEW_KEY).replace("lax", "none"))
    before = home.files()
    code, _, err = home.script("--yes", SHELLY_COLLECTOR_AUTH_KEY=KEY[::-1])
    assert (code, "refused the key" in err) == (77, True)
    assert home.files() == before
    with home.terminal() as terminal:
        terminal.answer("Server [")
        terminal.answer("Key (Enter keeps", NEW_KEY)
        assert "which replaces the one" in terminal.wait_for("Write this?")
        terminal.answer("[y]: ")
        code, screen = terminal.end()
    assert code == 0
    assert_for_every_terminal(screen)
    assert home.files() == {**before, str(home.key.relative_to(home.folder)): f"{NEW_KEY}\n".encode()}


def test_a_new_meter_is_added_to_a_file_that_was_edited(home: Home) -> None:
    """Comments and CR LF stay; the difference is shown, without the key in it."""
    home.write(
        f'auth_key = "{KEY}" # secret\n[[account.meter]]\nname = "house"\nid = "{HOUSE}"\nkind = "3em"\n'
        '\n# the log\n[log]\nlevel = "error"',
        end="\r\n",
    )
    text = home.text()
    house, barn = device(HOUSE, "House", 'kind = "3em"'), device(BARN, "Barn", 'clamps = "solar_grid"')
    home.cloud.play(account(house, barn).replace("lax", "none"))
    with home.terminal() as terminal:
        terminal.answer("Server [")
        terminal.answer("Key (Enter keeps")
        assert "collected" in terminal.wait_for("Enter for all")
        terminal.type("")
        terminal.answer("Is that right?")
        terminal.answer("[barn]: ", "house")
        terminal.wait_for("has this name already")
        terminal.answer("[barn]: ", "the barn")
        terminal.wait_for("Not possible")
        terminal.answer("[barn]: ", "stable")
        shown = terminal.wait_for("Write this?")
        terminal.answer("[y]: ")
        code, screen = terminal.end()
    assert code == 0
    assert_for_every_terminal(screen)
    assert "+[[account.meter]]" in shown
    assert home.text().startswith(text)
    added = home.text().removeprefix(text)
    assert tomllib.loads(added.replace("account.meter", "meter"))["meter"] == [
        {"name": "stable", "id": BARN, "grid_channel": 1, "solar_channel": 0}
    ]
    assert "\n" not in added.replace("\r\n", "")
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o640
    code, out, _ = home.script("--yes")
    assert (code, "stays as it is" in out) == (0, True)


def test_a_key_in_the_configuration_is_replaced_there(home: Home) -> None:
    home.write(
        f'auth_key = "{KEY}" # secret\n[[account.meter]]\nname = "house"\nid = "{HOUSE}"\nkind = "3em"\n'
    )
    text = home.text()
    home.cloud.play(ONE.replace(KEY, NEW_KEY).replace("lax", "none"))
    program = home.folder / "bin/shelly-collector"
    program.parent.mkdir()
    program.touch(0o755)
    more = {"SHELLY_COLLECTOR_AUTH_KEY": NEW_KEY, "PATH": str(program.parent)}
    code, out, err = home.script("--yes", **more)
    assert (code, err) == (0, "")
    assert NEW_KEY not in out
    assert "\n    shelly-collector run\n" in out
    assert home.text() == text.replace(KEY, NEW_KEY)


def test_beside_a_running_collector_a_second_one_was_proposed(home: Home) -> None:
    """It has to read the new configuration instead."""
    house = f'auth_key = "{KEY}"\n[[account.meter]]\nname = "house"\nid = "{HOUSE}"\nkind = "3em"\n'
    home.write(f"{house}[schedule]\nbackfill_days = 2\n")
    home.cloud.play(
        account(*(device(each, "Barn", 'kind = "3em"') for each in (HOUSE, BARN))).replace("lax", "none")
    )
    service = started("run", "--config", str(home.config), HOME=str(home.folder))
    wait_for(service, "job.finished")
    code, out, err = home.script("--yes")
    stop(service)
    assert (code, err) == (0, "")
    assert f"\n    kill -HUP {service.pid}\n" in out
    assert " run\n" not in out


@pytest.mark.slow
def test_a_network_that_failed_in_the_estimate_threw_the_answers_away(home: Home) -> None:
    three_phases(home, (HOUSE, "House"), fault='[[fault]]\nkind = "maintenance"\nasks = "totals"\n')
    code, out, err = home.script("--yes")
    assert (code, err) == (0, "")
    assert "The rest of this estimate is left out. The cloud did not answer" in " ".join(out.split())
    assert home.meters() == ["cabin", "house"]


@pytest.mark.slow
def test_a_network_that_failed_while_days_were_read_threw_the_answers_away(home: Home) -> None:
    """On a terminal it can be tried again; each try sends three requests."""
    fault = '[[fault]]\nkind = "maintenance"\nasks = "day"\ntimes = 6\n'
    three_phases(home, (HOUSE, "House"), (ROOF, "Roof"), fault=fault)
    for answer, question in (("n", ""), ("y", "Is that right?")):
        with home.terminal() as terminal:
            terminal.answer("Server [")
            terminal.answer("Key (Enter keeps")
            terminal.answer("Enter for all")
            terminal.answer("Try again? (y or n) [y]: ", answer)
            if question:
                terminal.answer(question, CTRL_C)
            code, screen = terminal.end()
        assert code == (130 if question else 69)
        assert screen.rstrip().endswith("Nothing was written.")


@pytest.mark.skipif(os.geteuid() != 0, reason="root may enter every folder")
def test_an_archive_of_another_user_ended_the_estimate_with_a_traceback(home: Home) -> None:
    three_phases(home, (HOUSE, "House"))
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        (Path(folder) / "data").mkdir(mode=0)
        copy = Path(folder, "config.toml")
        copy.write_text(home.text().replace(f"{home.folder}/data", f"{folder}/data"))
        os.chown(copy, 65534, 65534)
        found = forks().run("setup", "--config", str(copy), "--dry-run", uid=65534, env={"HOME": folder})
    assert (found.code, found.err) == (0, "")
    assert "estimate is left out" in found.out
    assert "Permission denied" in found.out


ROOF, SHED = "34987a45c1d1", "34987a45c1d2"


def three_phases(home: Home, *devices: tuple[str, str], fault: str = "") -> None:
    """Beside a meter that is collected, 3EMs that are new; those called Roof are on one."""
    home.write(f'auth_key = "{KEY}"\n[[account.meter]]\nname = "cabin"\nid = "{CABIN}"\nsolar = false\n')
    new = [
        device(id_, name, f'kind = "3em"\ncounts = "{"solar" if name == "Roof" else "grid"}"')
        for id_, name in devices
    ]
    home.cloud.play(account(device(CABIN, "Cabin"), *new).replace("lax", "none") + fault)


def test_a_single_roof_and_a_single_house_were_one_meter_as_a_fact(home: Home) -> None:
    """It is a proposal; who says no has two meters, and is told so."""
    three_phases(home, (HOUSE, "House"), (ROOF, "Roof"))
    with home.terminal() as terminal:
        terminal.answer("Server [")
        terminal.answer("Key (Enter keeps")
        terminal.answer("Enter for all")
        shown = " ".join(terminal.wait_for("Is that right?").split())
        assert "Roof is on a solar roof; with House as its grid meter they become one meter." in shown
        terminal.type("n")
        terminal.wait_for("Roof is stored as a meter of its own.")
        terminal.answer("[house]: ")
        terminal.answer("[roof]: ")
        assert "pv_id" not in terminal.wait_for("Write this?")
        terminal.answer("[y]: ", "n")
        assert terminal.end().code == 0
    code, out, _ = home.script("--dry-run")
    assert (code, f'pv_id = "{ROOF}"' in out) == (0, True)


def test_of_two_houses_the_first_in_the_list_was_given_the_roof(home: Home) -> None:
    """Which house it is on, no data show: a person is asked, a script gets single meters and is warned."""
    three_phases(home, (HOUSE, "House"), (SHED, "House"), (ROOF, "Roof"))
    code, out, _ = home.script("--dry-run")
    assert code == 0
    assert "pv_id =" not in out
    shown = " ".join(out.split())
    assert "Roof is stored as a meter of its own. Warning: " in shown
    assert "Together about 1 minute, with at most " in shown
    with home.terminal() as terminal:
        terminal.answer("Server [")
        terminal.answer("Key (Enter keeps")
        assert f"Its ID: {SHED}" in terminal.wait_for("Enter for all")
        terminal.type("")
        options = terminal.wait_for("Which is the grid meter of Roof?")
        assert f"  1  House ({HOUSE})\n  2  House ({SHED})\n  0  none of these" in options
        terminal.type("3")
        terminal.answer("from 0 to 2.\nWhich is the grid meter of Roof?", "2")
        terminal.answer("[house]: ")
        terminal.answer("[house-2]: ")
        shown = terminal.wait_for("Write this?")
        assert f'id = "{SHED}"' in shown.partition("pv_id")[0]
        assert f'pv_id = "{ROOF}"' in shown
        terminal.answer("[y]: ", "n")
        code, screen = terminal.end()
    assert code == 0
    assert_for_every_terminal(screen)


@pytest.mark.slow
def test_a_clamp_that_nothing_decides_is_asked_for(home: Home) -> None:
    """The meter is so young that the cloud has no days of it."""
    today = YOUNG + timedelta(days=9)
    home.cloud.play(account(device(BARN, "Barn").replace(str(YOUNG), str(today))))
    with home.terminal("--host", home.cloud.url, SHELLY_COLLECTOR_AUTH_KEY=KEY) as terminal:
        terminal.answer("Enter for all", "7")
        terminal.wait_for("from 1 to 1")
        terminal.answer("Enter for all", "1")
        assert "fewer than 3 days" in terminal.wait_for("Which is right? [1]: ")
        terminal.type("9")
        terminal.answer("Which is right? [1]: ", "3")
        terminal.answer("[barn]: ")
        terminal.answer("Where?")
        assert "solar = false" in terminal.wait_for("Write this?")
        terminal.answer("[y]: ", "n")
        code, _ = terminal.end()
    assert code == 0
    assert home.files() == {}


def test_a_configuration_with_errors_is_neither_used_nor_changed(home: Home) -> None:
    home.config.parent.mkdir(parents=True)
    home.config.write_text("[archiv]\n")
    code, out, err = home.script("--host", home.cloud.url, "--yes", SHELLY_COLLECTOR_AUTH_KEY=KEY)
    assert (code, out) == (78, "")
    assert 'did you mean "archive"' in err
    assert home.text() == "[archiv]\n"


def test_the_program_alone_on_a_terminal_says_what_comes_next(home: Home) -> None:
    """Without a terminal it prints its help, as before."""
    env = home.env(SHELLY_COLLECTOR_CONFIG=str(home.config))
    with Terminal(PROGRAM, env, ROOT) as terminal:
        code, screen = terminal.end()
    assert code == 0
    assert f"There is no {home.config} yet" in screen
    assert "shelly-collector setup" in screen
    home.write(f'[[account.meter]]\nname = "house"\nid = "{HOUSE}"\n')
    with Terminal(PROGRAM, env, ROOT) as terminal:
        code, screen = terminal.end()
    assert code == 0
    assert "is not running: no data stored yet" in screen
    assert f"shelly-collector run --config {home.config}" in screen
    assert_for_every_terminal(screen)
    home.config.write_text("[archiv]\n")
    with Terminal(PROGRAM, env, ROOT) as terminal:
        code, screen = terminal.end()
    assert (code, "did you mean" in screen, "doctor" in screen) == (0, True, True)
    assert "usage:" in collector().stdout
