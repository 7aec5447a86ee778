"""The tables `[[publish]]`: what a target is, where its token comes from, and what is refused."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from collector.errors import Problem, SettingsError
from collector.publish.targets import TargetKind
from collector.settings import Settings, masked, parse

TOKEN = "a-token-of-the-house"
ACCOUNT = """
[[account]]
name = "home"
host = "shelly-1-eu.shelly.cloud"
auth_key = "0123456789abcdef"
[[account.meter]]
name = "grid"
id = "a1b2c3d4e5f6"
[[account.meter]]
name = "roof-2"
id = "b1b2c3d4e5f6"
"""
HOME_ASSISTANT = {"kind": "homeassistant", "url": "http://homeassistant.local:8123", "token": TOKEN}
INFLUX = {"kind": "influx", "url": "http://127.0.0.1:8086/write?db=energy"}


def parsed(
    *tables: dict[str, Any], environ: dict[str, str] | None = None, account: str = ACCOUNT
) -> Settings:
    """The settings with these tables, named `t1`, `t2` and so on."""
    raw = tomllib.loads(account)
    raw["publish"] = [{"name": f"t{number}", **each} for number, each in enumerate(tables, 1)]
    return parse(raw, environ or {}, None)


def problems(*tables: dict[str, Any], account: str = ACCOUNT) -> list[Problem]:
    with pytest.raises(SettingsError) as error:
        parsed(*tables, account=account)
    return error.value.problems


def test_without_a_table_nothing_is_sent() -> None:
    assert parsed().targets == ()


def test_several_targets_have_their_own_settings() -> None:
    home, database = parsed(HOME_ASSISTANT, INFLUX | {"cumulative": True, "meters": ["grid"]}).targets
    assert (home.kind, home.url, home.token) == (TargetKind.HOME_ASSISTANT, HOME_ASSISTANT["url"], TOKEN)
    assert (database.token, database.cumulative, database.meters) == ("", True, ("grid",))


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://h:8086/write?db=e", "http://h:8086/write?db=e&precision=s"),
        ("http://h:8086/write/?db=e", "http://h:8086/write?db=e&precision=s"),
        ("https://h/influx/write?precision=ms", "https://h/influx/write?precision=s"),
        (
            "http://h:8086/api/v2/write?org=my%20home&bucket=e",
            "http://h:8086/api/v2/write?org=my+home&bucket=e&precision=s",
        ),
        ("http://h:8181/api/v3/write_lp?db=e", "http://h:8181/api/v3/write_lp?db=e&precision=second"),
    ],
)
def test_an_address_of_influxdb_gets_the_precision_of_its_version(given: str, used: str) -> None:
    (target,) = parsed(INFLUX | {"url": given}).targets
    assert target.url == used


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ({"url": INFLUX["url"]}, "kind"),
        (INFLUX | {"kind": "mqtt"}, "kind"),
        ({"kind": "influx"}, "url"),
        (INFLUX | {"url": "homeassistant.local"}, "url"),
        (INFLUX | {"url": "ftp://h/write"}, "url"),
        (INFLUX | {"url": "http://me:pw@h/write"}, "url"),
        (INFLUX | {"url": "http://h:8086"}, "url"),
        (INFLUX | {"url": "http://h:8086/query?db=e"}, "url"),
        (INFLUX | {"url": "http://h:8086/write?db=e&u=me&p=secretsecret"}, "url"),
        (HOME_ASSISTANT | {"url": "http://homeassistant.local:8123/lovelace"}, "url"),
        (HOME_ASSISTANT | {"url": "http://homeassistant.local:8123?x=1"}, "url"),
        ({"kind": "homeassistant", "url": HOME_ASSISTANT["url"]}, "token_file"),
        (HOME_ASSISTANT | {"measurement": "x"}, "measurement"),
        (HOME_ASSISTANT | {"cumulative": True}, "cumulative"),
        (INFLUX | {"cumulative": 1}, "cumulative"),
        (INFLUX | {"measurement": "a b"}, "measurement"),
        (INFLUX | {"meters": ["garage"]}, "meters"),
        (INFLUX | {"meters": "grid"}, "meters"),
        (INFLUX | {"name": "a b"}, "name"),
        (INFLUX | {"tokn": "x"}, "tokn"),
        (INFLUX | {"token": 5}, "token"),
        (INFLUX | {"token": ""}, "token"),
        (INFLUX | {"token": "Bearer abc"}, "token"),
        (INFLUX | {"token": "one\ntwo"}, "token"),
        (INFLUX | {"token": "t\u00f6ken"}, "token"),
        (INFLUX | {"token": "x" * 3000}, "token"),
        (INFLUX | {"token_file": "/nowhere/token"}, "token_file"),
    ],
)
def test_what_is_wrong_is_named_with_its_field_and_a_reason(table: dict[str, Any], field: str) -> None:
    (problem,) = problems(table)
    assert problem.field.rpartition(".")[2] == field
    assert problem.reason
    assert "secretsecret" not in str(problem)
    assert len(str(problem)) < 500


def test_two_targets_have_different_names() -> None:
    (problem,) = problems(INFLUX | {"name": "db"}, INFLUX | {"name": "DB"})
    assert problem.field == "publish.name"


def test_a_table_with_one_bracket_is_explained() -> None:
    with pytest.raises(SettingsError, match="two brackets"):
        parse({**tomllib.loads(ACCOUNT), "publish": INFLUX}, {}, None)


def test_meters_that_would_be_the_same_statistic_are_refused() -> None:
    """For Home Assistant `roof-2` and `roof_2` are one."""
    more = '[[account.meter]]\nname = "roof_2"\nid = "c1b2c3d4e5f6"\n'
    (problem,) = problems(HOME_ASSISTANT, account=ACCOUNT + more)
    assert "roof-2" in problem.reason
    assert "roof_2" in problem.reason
    assert parsed(HOME_ASSISTANT | {"meters": ["grid", "roof-2"]}, account=ACCOUNT + more).targets
    assert parsed(INFLUX, account=ACCOUNT + more).targets


def test_the_credential_comes_before_the_file_and_the_file_before_the_setting(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    file.chmod(0o640)
    (tmp_path / "token.t1").write_text(" of-the-credential\n")
    both = INFLUX | {"token_file": str(file), "token": "of-the-setting"}
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert parsed(both, environ=environ).targets[0].token == "of-the-credential"
    assert parsed(both).targets[0].token == "of-the-file"
    assert parsed(INFLUX | {"token": "of-the-setting"}).targets[0].token == "of-the-setting"


def test_a_token_is_a_secret_and_shown_nowhere(tmp_path: Path) -> None:
    settings = parsed(HOME_ASSISTANT)
    assert TOKEN in settings.secrets
    assert TOKEN not in repr(settings) + masked(settings)
    assert 'token = "***"' in masked(settings)
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    (warning,) = parsed(INFLUX | {"token_file": str(file)}).warnings
    assert "chmod o-r" in warning


def test_what_is_shown_is_read_as_the_same_targets() -> None:
    settings = parsed(
        HOME_ASSISTANT, INFLUX | {"cumulative": True, "measurement": "power", "meters": ["grid"]}
    )
    shown = tomllib.loads(masked(settings))["publish"]
    again = parsed(*shown)
    assert [(each.name, each.url, each.meters) for each in again.targets] == [
        (each.name, each.url, each.meters) for each in settings.targets
    ]
    assert "cumulative" not in shown[0]


def test_a_command_that_sends_nothing_needs_no_token(tmp_path: Path) -> None:
    """`status` runs as a user who may not read it."""
    raw = tomllib.loads(ACCOUNT)
    table = {"name": "ha", **HOME_ASSISTANT, "token_file": f"{tmp_path}/nothing"}
    del table["token"]
    raw["publish"] = [table]
    assert parse(raw, {}, None, needs_keys=False).targets[0].name == "ha"


def test_a_file_of_more_accounts_has_no_targets(tmp_path: Path) -> None:
    more = {tmp_path / "config.d" / "a.toml": {"publish": [INFLUX | {"name": "db"}]}}
    with pytest.raises(SettingsError, match="only"):
        parse(tomllib.loads(ACCOUNT), {}, tmp_path / "config.toml", more=more)


def test_the_documented_tables_are_read_with_their_token_files(tmp_path: Path) -> None:
    """Those of docs/sharing.md, one for each version of InfluxDB and one for VictoriaMetrics."""
    page = (Path(__file__).parents[3] / "docs" / "sharing.md").read_text()
    blocks = re.findall(r"```toml\n(\[\[publish\]\]\n.*?)```", page, re.DOTALL)
    (tmp_path / "influx_token").write_text(f"{TOKEN}\n")
    (tmp_path / "influx_token").chmod(0o640)
    tables = [
        tomllib.loads(block.replace("/etc/shelly-collector", str(tmp_path)))["publish"][0] for block in blocks
    ]
    targets = [parsed(each | {"name": "db"}).targets[0] for each in tables]
    assert [each.url.partition("?")[0].rpartition(":")[2] for each in targets] == [
        "8086/write",
        "8086/api/v2/write",
        "8181/api/v3/write_lp",
        "8428/write",
    ]
    assert [each.token for each in targets] == [TOKEN, TOKEN, TOKEN, ""]
