"""A configuration becomes value objects, or a list of everything that is wrong with it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as profile
from hypothesis import strategies as st

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Kind, Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.history import PlanPolicy
from collector.errors import Problem, SettingsError
from collector.settings import Settings, from_flags, load, masked, parse
from collector.status import Listen

KEY = "K3yOf" + "a1B2" * 20
ENVIRON = {"SHELLY_COLLECTOR_AUTH_KEY": KEY}
MINIMAL = """
[[account]]
name = "home"
host = "shelly-12-eu.shelly.cloud"
[[account.meter]]
name = "grid"
id = "A1:B2:C3:D4:E5:F6"
"""


def settings_of(text: str, environ: dict[str, str] | None = None) -> Settings:
    raw = tomllib.loads(text, parse_float=Decimal)
    return parse(raw, ENVIRON if environ is None else environ, None)


def problems_of(text: str, environ: dict[str, str] | None = None) -> list[Problem]:
    with pytest.raises(SettingsError) as caught:
        settings_of(text, environ)
    return caught.value.problems


def fields_of(text: str) -> list[str]:
    return [problem.field for problem in problems_of(text)]


def test_a_host_a_key_and_a_meter_are_enough() -> None:
    """Everything else is the value objects' own default."""
    settings = settings_of(MINIMAL)
    assert settings.day_format == DayFormat()
    assert settings.pacing == Pacing()
    assert settings.retry == RetryPolicy()
    assert settings.plan == PlanPolicy()
    assert (settings.refresh_minute, settings.refresh_jitter_s) == (12, 60.0)
    assert (settings.log_format, settings.log_level) == ("auto", "info")
    assert settings.meters == (Meter("grid", "a1b2c3d4e5f6"),)
    assert settings.accounts[0].account.base_url == "https://shelly-12-eu.shelly.cloud"
    assert settings.accounts[0].account.auth_key == KEY
    assert settings.warnings == ()
    assert settings.folder_of(settings.meters[0]) == Path("/var/lib/shelly-collector/grid")


def test_every_setting_reaches_its_value_object() -> None:
    settings = settings_of(
        """
        [archive]
        path = "/srv/energy"
        decimals = 6
        repeated_hour = "merge"
        [pacing]
        min_interval_s = 2
        max_in_flight = 2
        [retry]
        attempts = 2
        wait_initial_s = 1.5
        wait_max_s = 90
        wait_jitter_s = 0
        timeout_s = 12.5
        [schedule]
        refresh_minute = 20
        refresh_jitter_s = 5
        settle_days = [7, 2]
        heal = false
        backfill_days = 30
        [health]
        max_age_h = 5.5
        ping_url = "http://192.168.1.5:8000/ping/0c1f-22"
        on_change = ["/usr/bin/logger", "-t", "shelly collector"]
        [web]
        listen = 9787
        [log]
        format = "json"
        level = "DEBUG"
        """
        + MINIMAL
        + """
        grid_channel = 1
        solar_channel = 0
        grid_scale_factor = 1.035
        pv_kwh_discard = 0.003
        since = 2024-03-01
        timezone = "Europe/Dublin"
        [[account.meter]]
        name = "heat"
        id = "a1b2c3"
        kind = "3em"
        pv_id = "b1b2c3d4e5f6"
        since = "2024-03-02"
        """
    )
    assert settings.archive == Path("/srv/energy")
    assert settings.day_format == DayFormat(6, merge_repeated_hour=True)
    assert settings.pacing == Pacing(2.0, 2)
    assert settings.retry == RetryPolicy(2, 1.5, 90.0, 0.0, 12.5)
    assert settings.plan == PlanPolicy(30, (2, 7), heal=False)
    assert (settings.refresh_minute, settings.refresh_jitter_s) == (20, 5.0)
    assert settings.max_age_s == 5.5 * 3600
    assert settings.alarms.ping_url == "http://192.168.1.5:8000/ping/0c1f-22"
    assert settings.alarms.on_change == ("/usr/bin/logger", "-t", "shelly collector")
    assert settings.listen == Listen("127.0.0.1", 9787)
    assert (settings.log_format, settings.log_level) == ("json", "debug")
    assert settings.meters[0].grid_scale_factor == Decimal("1.035")
    assert settings.meters[0].pv_kwh_discard == Decimal("0.003")
    assert settings.meters[0].since == date(2024, 3, 1)
    assert settings.meters[0].timezone == "Europe/Dublin"
    assert settings.meters[1].kind is Kind.EM3
    assert settings.meters[1].pv_id == "b1b2c3d4e5f6"
    assert settings.meters[1].since == date(2024, 3, 2)


LONG_URLS = ['"https://a/b#c"', f'"https://a/{"x" * 500}"', '"https://a/\\u0007"']
WRONG = {
    "archive.path": ["5", '""', '"a\\u0000b"'],
    "archive.decimals": ["3", "7", "4.0", "true", '"4"', "0x" + "f" * 6000],
    "archive.repeated_hour": ['"twice"', "true"],
    "pacing.min_interval_s": ["0.99", "nan", "inf", "-1", "true", '"1.05"', "61", "1e999999"],
    "pacing.max_in_flight": ["0", "9", "1.5", "true"],
    "retry.attempts": ["0", "21", "true"],
    "retry.wait_initial_s": ["-1", "601", "nan"],
    "retry.wait_max_s": ["3601", "1"],
    "retry.wait_jitter_s": ["-0.1", "inf"],
    "retry.timeout_s": ["0", "301"],
    "schedule.refresh_minute": ["60", "-1", "false"],
    "schedule.refresh_jitter_s": ["901", "-1"],
    "schedule.settle_days": ["[0]", "[1, 1]", "[31]", "[true]", "1", '["1"]', str(list(range(1, 12)))],
    "schedule.heal": ["1", '"true"'],
    "schedule.backfill_days": ['"most"', "-1", "1096", "true", "1.5"],
    "health.max_age_h": ["1.9", "8761", "nan", '"26"'],
    "health.ping_url": [
        "5",
        '"hc-ping.com/x"',
        '"ftp://a/b"',
        '"https://a b/c"',
        '"https://u@a/b"',
        *LONG_URLS,
    ],
    "health.on_change": ['"/bin/true"', '["true"]', "[1]", '[""]', '["/x", "a\\u0000b"]', str(["/x"] * 21)],
    "web.listen": ["0", "65536", "true", '"9787"', '"nas:80"', '"[127.0.0.1]:80"', '"::1:80"', '"1.2.3.4:"'],
    "web.names": [
        '"pi.lan"',
        '["pi lan"]',
        '["-pi"]',
        '["pi..lan"]',
        "[1]",
        '[""]',
        '["http://pi.lan"]',
        '["ü"]',
    ],
    "web.password_file": ["1", '""', '"/nowhere/password"'],
    "log.format": ['"xml"', "1"],
    "log.level": ['"loud"', "10"],
}
WRONG_OF_METER = {
    "grid_channel": ["2", "-1", "true", "1"],
    "solar_channel": ["2", "0"],
    "solar": ["1", '"no"'],
    "kind": ['"em1"', "3"],
    "pv_id": ['"b1b2c3d4e5f6"', '"x"'],
    "grid_scale_factor": ["0", "-1", "100.1", "nan", "inf", "true", '"1"', "1e-400"],
    "pv_kwh_discard": ["-0.1", "10.1", "nan", "-inf"],
    "since": ['"2024-13-01"', '"20240301"', "2024-03-01T00:00:00Z", "1970-01-01", "20240301", "00:00:00"],
    "timezone": ['"Mars/Base"', '"../../etc/passwd"', "1", '"Europe"'],
}


@pytest.mark.parametrize(("field", "value"), [(f, v) for f, values in WRONG.items() for v in values])
def test_a_wrong_value_is_named_with_its_field_and_a_reason(field: str, value: str) -> None:
    table, key = field.split(".")
    (problem,) = problems_of(f"[{table}]\n{key} = {value}\n{MINIMAL}")
    assert problem.field == field
    assert problem.reason
    assert len(str(problem)) < 300


@pytest.mark.parametrize(("key", "value"), [(f, v) for f, values in WRONG_OF_METER.items() for v in values])
def test_a_wrong_value_of_a_meter_is_named_with_its_meter(key: str, value: str) -> None:
    assert f"account[home].meter[grid].{key}" in fields_of(f"{MINIMAL}\n{key} = {value}")


@pytest.mark.parametrize(
    "written", ["", "a1b2c3d4e5", "a1b2c3d4e5f6a1", "g1b2c3d4e5f6", "../../etc", "a1b2c3d4e5f６"]
)
def test_a_device_id_is_6_or_12_hex_digits(written: str) -> None:
    assert fields_of(MINIMAL.replace("A1:B2:C3:D4:E5:F6", written)) == ["account[home].meter[grid].id"]


@pytest.mark.parametrize("name", ["", ".collector", "..", "a/b", "a b", "-a", "_a", "é", "a" * 65, "a\\nb"])
def test_a_name_can_be_a_folder_and_nothing_else(name: str) -> None:
    assert len(fields_of(MINIMAL.replace("grid", name))) == 1
    assert len(fields_of(MINIMAL.replace("home", name))) == 1


def test_meter_names_are_unique_over_all_accounts() -> None:
    """Each is a folder, and on some file systems upper and lower case are one."""
    second = MINIMAL.replace("home", "cabin").replace("grid", "Grid")
    assert fields_of(MINIMAL + second) == ["meter.name"]
    assert fields_of(MINIMAL + MINIMAL.replace("grid", "other")) == ["account.name"]


def test_all_problems_are_reported_at_once() -> None:
    fields = fields_of(
        """
        [archive]
        decimals = 3
        [log]
        level = "loud"
        [nonsense]
        [[account]]
        host = "http://shelly.cloud"
        [[account.meter]]
        name = "grid"
        kind = "5em"
        [[account]]
        name = "cabin"
        """
    )
    assert fields == [
        "nonsense",
        "account[1].name",
        "account[1].host",
        "account[1].meter[grid].id",
        "account[1].meter[grid].kind",
        "account[cabin].host",
        "account[cabin].meter",
        "archive.decimals",
        "log.level",
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("[archive]\ndecimal = 4" + MINIMAL, '"decimals"'),
        ("[archiv]\n" + MINIMAL, '"archive"'),
        ("[[accounts]]\n" + MINIMAL, '"account"'),
        ("[[meter]]\n" + MINIMAL, "[[account.meter]]"),
        ('host = "x"\n' + MINIMAL, "[[account]]"),
        ("timeout_s = 3\n" + MINIMAL, "[retry]"),
        (MINIMAL + "grid_scale = 2", '"grid_scale_factor"'),
        (MINIMAL + "Solar_Channel = 1", '"solar_channel"'),
        (MINIMAL + "zzz = 2", "known here"),
    ],
)
def test_an_unknown_key_is_refused_with_what_may_have_been_meant(text: str, hint: str) -> None:
    (problem,) = problems_of(text)
    assert hint in problem.reason


@pytest.mark.parametrize(
    "text",
    ["", "account = 1", "account = []", "[account]", "account = [1]", '[[account]]\nname = "a"\nmeter = 3'],
)
def test_without_an_account_or_a_meter_there_is_nothing_to_collect(text: str) -> None:
    assert any(field.startswith("account") for field in fields_of(text))


@pytest.mark.parametrize("table", ["archive", "pacing", "retry", "schedule", "log"])
def test_a_table_must_be_a_table(table: str) -> None:
    assert fields_of(f"{table} = 5\n{MINIMAL}") == [table]
    assert fields_of(f"[[{table}]]\n{MINIMAL}") == [table]


def test_less_than_a_second_between_requests_is_for_a_simulator_on_this_machine() -> None:
    fast = "[pacing]\nmin_interval_s = 0.01\n"
    local = MINIMAL.replace("shelly-12-eu.shelly.cloud", "http://127.0.0.1:8080")
    assert settings_of(fast + local).pacing.min_interval_s == 0.01
    mixed = fast + local + MINIMAL.replace("home", "far").replace("grid", "far")
    assert fields_of(mixed) == ["pacing.min_interval_s"]


def test_a_3em_has_solar_only_by_a_second_device() -> None:
    em3 = MINIMAL + 'kind = "3em"\n'
    assert settings_of(em3).meters[0].solar is False
    assert settings_of(em3 + 'pv_id = "b1b2c3d4e5f6"').meters[0].solar is True
    assert fields_of(em3 + "solar = true") == ["account[home].meter[grid].solar"]
    assert fields_of(em3 + "solar_channel = 1") == ["account[home].meter[grid].solar_channel"]
    assert fields_of(em3 + 'pv_id = "a1b2c3d4e5f6"') == ["account[home].meter[grid].pv_id"]


def test_the_environment_overrides_the_file() -> None:
    text = '[archive]\npath = "/a"\n[log]\nlevel = "error"\n' + MINIMAL
    environ = ENVIRON | {
        "SHELLY_COLLECTOR_ARCHIVE": "/b",
        "SHELLY_COLLECTOR_LOG_LEVEL": "debug",
        "SHELLY_COLLECTOR_LOG_FORMAT": "json",
    }
    settings = settings_of(text, environ)
    assert settings.archive == Path("/b")
    assert (settings.log_format, settings.log_level) == ("json", "debug")


def test_a_wrong_variable_is_named_as_one() -> None:
    (problem,) = problems_of(MINIMAL, ENVIRON | {"SHELLY_COLLECTOR_LOG_LEVEL": "loud"})
    assert problem.field == "$SHELLY_COLLECTOR_LOG_LEVEL"


def test_a_relative_archive_begins_at_the_file(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[archive]\npath = "data"\n' + MINIMAL)
    assert load(file, ENVIRON).archive == tmp_path / "data"
    assert load(file, ENVIRON | {"SHELLY_COLLECTOR_ARCHIVE": "here"}).archive == Path("here")
    file.write_text('[archive]\npath = "~/data"\n' + MINIMAL)
    assert load(file, ENVIRON | {"HOME": "/home/me"}).archive == Path("/home/me/data")


def test_a_host_outside_of_shelly_cloud_is_warned_about() -> None:
    settings = settings_of(MINIMAL.replace("shelly.cloud", "example.org"))
    assert "shelly-12-eu.example.org" in settings.warnings[0]


def test_two_tables_with_the_same_host_and_key_are_warned_about() -> None:
    """They work, and share one request a second; both are named, and what to do."""
    other = MINIMAL.replace("home", "cabin").replace("grid", "lake")
    (warning,) = settings_of(MINIMAL + other.replace("shelly-12-eu", "HTTPS://Shelly-12-EU")).warnings
    assert "account[home]" in warning
    assert "account[cabin]" in warning
    assert "one request a second" in warning
    assert KEY not in warning
    assert settings_of(MINIMAL + other.replace("shelly-12-eu", "shelly-13-eu")).warnings == ()
    third = MINIMAL.replace("home", "shed").replace("grid", "shed")
    assert len(settings_of(MINIMAL + other + third).warnings) == 1
    assert parse(tomllib.loads(MINIMAL + other), {}, Path("config.toml"), needs_keys=False).warnings == ()


def test_a_long_path_is_shown_whole(tmp_path: Path) -> None:
    """Bug: cut at 80 characters, and a folder with a long name was taken for a key."""
    folder = tmp_path / ("d" * 90) / "0123456789abcdef0123456789abcdef" / "me@home #1?"
    folder.mkdir(parents=True)
    text = MINIMAL.replace("[[account.meter]]", 'auth_key_file = "not-there"\n[[account.meter]]')
    (folder / "config.toml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(folder / "config.toml", {})
    assert str(folder / "not-there") in str(caught.value)
    (problem,) = problems_of(f'[archive]\npath = "{folder}\\u0007"\n{MINIMAL}')
    assert problem.value == f"{folder}\\x07"


def test_a_key_in_the_place_of_a_path_is_not_shown(tmp_path: Path) -> None:
    """Whatever else the path is made of."""
    for path in (KEY, f"/etc/{KEY}", f"~/{KEY}/x", f"../{KEY}.txt", f"{'x' * 100}/{KEY}"):
        text = MINIMAL.replace("[[account.meter]]", f'auth_key_file = "{path}"\n[[account.meter]]')
        (tmp_path / "config.toml").write_text(text)
        with pytest.raises(SettingsError) as caught:
            load(tmp_path / "config.toml", {})
        assert KEY not in str(caught.value)


def test_what_is_no_path_is_shown_in_part() -> None:
    """A problem stays a line that can be read."""
    (problem,) = problems_of(MINIMAL.replace("A1:B2:C3:D4:E5:F6", "not an id " * 1000))
    assert len(problem.value) <= 81


def test_flags_alone_make_a_flat_archive_of_one_meter(tmp_path: Path) -> None:
    settings = from_flags(
        {"SHELLY_COLLECTOR_ARCHIVE": "/elsewhere"} | ENVIRON,
        host="shelly-12-eu.shelly.cloud",
        id="A1B2C3D4E5F6",
        auth_key="another" + KEY,
        odir=str(tmp_path),
        grid_scale_factor="1.02",
        since="2024-01-01",
    )
    (meter,) = settings.meters
    assert settings.folder_of(meter) == tmp_path
    assert (meter.name, meter.kind, meter.grid_scale_factor) == ("a1b2c3d4e5f6", Kind.EM, Decimal("1.02"))
    assert settings.secrets == ("another" + KEY,)
    assert from_flags(ENVIRON, host="localhost", id="a1b2c3", pv_id="b1b2c3").meters[0].kind is Kind.EM3


def test_kind_and_solar_can_be_set_with_flags_alone() -> None:
    """A 3EM without a partner, and an EM without a solar clamp: without solar one request a day is enough."""
    (triple,) = from_flags(ENVIRON, host="localhost", id="a1b2c3", kind="3em").meters
    assert (triple.kind, triple.has_no_solar, triple.requests_per_day) == (Kind.EM3, True, 1)
    (single,) = from_flags(ENVIRON, host="localhost", id="a1b2c3", solar=False).meters
    assert (single.kind, single.has_no_solar, single.requests_per_day) == (Kind.EM, True, 1)
    (both,) = from_flags(ENVIRON, host="localhost", id="a1b2c3", kind="3em", solar=False).meters
    assert both == triple


@pytest.mark.parametrize(
    ("given", "field"),
    [({"kind": "em", "pv_id": "b1b2c3"}, "--pv_id"), ({"solar": False, "pv_id": "b1b2c3"}, "--no-solar")],
)
def test_flags_that_contradict_each_other_are_named(given: dict[str, Any], field: str) -> None:
    """A second 3EM is there to count solar."""
    with pytest.raises(SettingsError) as caught:
        from_flags(ENVIRON, host="localhost", id="a1b2c3", **given)
    (problem,) = caught.value.problems
    assert problem.field == field


def test_problems_with_flags_are_named_like_the_flags() -> None:
    with pytest.raises(SettingsError) as caught:
        from_flags({}, host="a b", id="x", pv_kwh_discard="NaN", grid_scale_factor="many", since="soon")
    assert {problem.field for problem in caught.value.problems} == {
        "--host",
        "--id",
        "--auth_key",
        "--pv_kwh_discard",
        "--grid_scale_factor",
        "--since",
    }
    with pytest.raises(SettingsError) as caught:
        from_flags(ENVIRON)
    assert {problem.field for problem in caught.value.problems} == {"--host", "--id"}


def test_the_masked_text_gives_the_same_settings_again() -> None:
    text = '[log]\nlevel = "debug"\n' + MINIMAL + "since = 2024-03-01\ngrid_scale_factor = 1.5\n"
    settings = settings_of(text)
    shown = masked(settings)
    assert settings_of(shown) == settings
    assert KEY not in shown
    assert 'level = "debug"\n' in shown
    assert "decimals = 4  # default\n" in shown
    assert shown == masked(settings_of(text))


def test_the_masked_text_shows_the_host_that_is_pinged_and_not_the_address() -> None:
    """Anyone who knows the ping address can send false OK signals: it is a secret like a key."""
    web = '[health]\nping_url = "https://hc-ping.com/0c1f-secret"\non_change = ["/x", "y\\"z"]\n[web]\n'
    settings = settings_of(web + 'listen = "[::1]:80"\n' + MINIMAL)
    shown = masked(settings)
    assert "0c1f-secret" not in shown + repr(settings)
    again = settings_of(shown)
    assert again.alarms.on_change == settings.alarms.on_change == ("/x", 'y"z')
    assert again.listen == settings.listen == Listen("::1", 80)


@pytest.mark.parametrize(
    "path",
    [
        "aBcDeFgHiJkLmNoPqRsT_w/the-slug-of-a-check-that-is-longer",
        "aBcDeFgHiJkLmNoPqRsT_w/shelly-collector",
        "api/push/x7Kd92mQ?status=up&msg=OK",
        "heartbeat?token=q9w8e7r6",
        "ping",
        "mysecrettopic/x",
    ],
)
def test_of_a_ping_address_the_masked_text_shows_the_host_alone(path: str) -> None:
    """Bug: behind a longer slug, the key of the ping was shown. All else stays readable."""
    text = (
        f'[archive]\npath = "/var/lib/shelly-collector"\n[health]\nping_url = "https://hc-ping.com/{path}"\n'
    )
    settings = settings_of(text + MINIMAL)
    shown = masked(settings)
    assert 'ping_url = "https://hc-ping.com/***"\n' in shown
    assert 'path = "/var/lib/shelly-collector"' in shown
    assert f".com/{path}" not in shown
    assert settings_of(shown).archive == settings.archive


@pytest.mark.parametrize("place", ["0.0.0.0:80", "192.168.1.5:9787", "[fd00::5]:80"])
def test_an_endpoint_that_others_can_reach_is_warned_about(place: str) -> None:
    (warning,) = settings_of(f'[web]\nlisten = "{place}"\n{MINIMAL}').warnings
    assert "web.listen" in warning


def test_a_password_settles_that_warning_and_is_shown_nowhere(tmp_path: Path) -> None:
    """It is a secret like the key: masked in logs, and not in the configuration that is shown."""
    file = tmp_path / "password"
    file.write_text("correct horse\n")
    file.chmod(0o640)
    web = f'[web]\nlisten = "0.0.0.0:80"\nnames = ["Pi.lan", "a.example"]\npassword_file = "{file}"\n'
    settings = settings_of(web + MINIMAL)
    assert settings.warnings == ()
    assert (settings.password, settings.names) == ("correct horse", ("pi.lan", "a.example"))
    assert "correct horse" in settings.secrets
    assert "correct horse" not in repr(settings) + masked(settings)
    assert f'password_file = "{file}"' in masked(settings)
    file.chmod(0o644)
    (warning,) = settings_of(web + MINIMAL).warnings
    assert "chmod o-r" in warning


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "fewer than 8"),
        (b"short\n", "fewer than 8"),
        (b"correct horse\nbattery staple\n", "more than one line"),
        (b"correct \x00 horse", "control character"),
        (b"\xff\xfe password", "plain text"),
        (b"x" * 5000, "larger than"),
    ],
)
def test_a_file_that_has_no_usable_password_is_refused(content: bytes, reason: str, tmp_path: Path) -> None:
    """With a reason, and without its content: the page would be open, or could not be opened."""
    file = tmp_path / "password"
    file.write_bytes(content)
    (problem,) = problems_of(f'[web]\npassword_file = "{file}"\n{MINIMAL}')
    assert problem.field == "web.password_file"
    assert reason in problem.reason
    assert "battery" not in str(problem)


def test_a_command_that_sends_nothing_needs_no_password(tmp_path: Path) -> None:
    """`status` and `report` run as a user who may not read it."""
    text = f'[web]\npassword_file = "{tmp_path}/nothing"\n{MINIMAL}'
    assert parse(tomllib.loads(text), {}, None, needs_keys=False).password is None


@pytest.mark.parametrize("place", ["127.0.0.1:80", "localhost:80", "[::1]:80"])
def test_an_endpoint_of_this_machine_alone_is_not(place: str) -> None:
    settings = settings_of(f'[web]\nlisten = "{place}"\n{MINIMAL}')
    assert settings.warnings == ()
    assert settings.listen is not None


def test_the_masked_text_of_a_3em_is_a_configuration_too() -> None:
    settings = settings_of(MINIMAL + 'kind = "3em"\npv_id = "b1b2c3d4e5f6"')
    assert settings_of(masked(settings)) == settings


_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_KEYS = st.sampled_from(
    ["archive", "path", "log", "level", "account", "meter", "host", "id", "since", "auth_key"]
)


_TABLES = st.dictionaries(_KEYS, _VALUES, max_size=5)


@profile(deadline=None)
@given(st.dictionaries(_KEYS, _TABLES | st.lists(_TABLES, max_size=3) | _VALUES, max_size=5))
def test_whatever_is_in_the_file_it_is_a_configuration_or_a_list_of_problems(
    raw: dict[str, object],
) -> None:
    try:
        parse(raw, ENVIRON, None)
    except SettingsError as error:
        assert error.problems
        assert KEY not in str(error)
        assert all("\n" not in str(problem) for problem in error.problems)


def test_reading_settings_loads_neither_http_nor_scheduler_nor_logging_libraries() -> None:
    code = (
        "import sys, collector.settings;"
        "print([name for name in ('aiohttp', 'apscheduler', 'structlog', 'tenacity') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
