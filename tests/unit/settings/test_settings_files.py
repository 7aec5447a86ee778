"""Where the configuration is searched for, and files that are none."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import get_type_hints

import pytest

from collector.archive.dayfile import DayFormat
from collector.cloud.meters import Meter
from collector.cloud.pacing import Pacing
from collector.cloud.retrying import RetryPolicy
from collector.energy.history import PlanPolicy
from collector.errors import SettingsError
from collector.publish.targets import Target
from collector.settings import load, locate, masked, schema
from collector.settings.files import read
from collector.status import Alarms

EXAMPLE = Path(__file__).parents[3] / "config" / "collector.toml"
ENVIRON = {"SHELLY_COLLECTOR_AUTH_KEY": "k" * 40}


def test_the_first_place_that_has_a_file_wins(tmp_path: Path) -> None:
    system, own, home = tmp_path / "system", tmp_path / "own", tmp_path / "home"
    files = [
        system / "config.toml",
        own / "shelly-collector" / "config.toml",
        home / ".config" / "shelly-collector" / "config.toml",
    ]
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    environ = {
        "CONFIGURATION_DIRECTORY": f"{tmp_path}/none:{system}",
        "XDG_CONFIG_HOME": str(own),
        "HOME": str(home),
    }
    assert locate(None, environ) == files[0]
    files[0].unlink()
    assert locate(None, environ) == files[1]
    del environ["XDG_CONFIG_HOME"]
    assert locate(None, environ) == files[2]


def test_a_file_that_was_named_is_used_even_if_it_is_not_there(tmp_path: Path) -> None:
    """A typing error must not fall back to another configuration."""
    environ = {"SHELLY_COLLECTOR_CONFIG": "/nowhere/b.toml", "HOME": str(tmp_path)}
    assert locate(Path("/nowhere/a.toml"), environ) == Path("/nowhere/a.toml")
    assert locate(None, environ) == Path("/nowhere/b.toml")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[archive\n", "line 1"),
        (b"a = 1\nb = = 2\n", "line 2"),
        (b"a = 1\na = 2\n", "line 2"),
        (b'\n\na = "\xff"\n', "not UTF-8 text (line 3)"),
        (b"#" * 1_000_001, "larger"),
        (b"a = " + b"[" * 100_000, "absurdly"),
        (b"a = " + b"9" * 5_000, "absurdly"),
    ],
)
def test_a_file_that_is_no_toml_is_refused_with_the_place(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        read(file)
    assert reason in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_file_that_is_missing_or_a_folder_is_refused_with_that_reason(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such file"):
        load(tmp_path / "none.toml", {})
    with pytest.raises(SettingsError, match="is a directory"):
        load(tmp_path, {})


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_bytes(b"\xef\xbb\xbf[log]\r\nlevel = 'info'\r\n")
    assert read(file) == {"log": {"level": "info"}}


def test_the_shipped_file_is_valid_and_has_every_default() -> None:
    """Each known key is in it; what is not commented out has the default's value."""
    text = EXAMPLE.read_text()
    settings = load(EXAMPLE, ENVIRON)
    raw = tomllib.loads(text, parse_float=Decimal)
    account = raw["account"][0]
    tables = {**raw, "account": account, "meter": account["meter"][0]}
    for kind, known in schema.TABLES.items():
        for setting in known:
            if kind in schema.OPTIONAL:
                assert f"\n# {setting.key} = " in text
            elif setting.required:
                assert setting.key in tables[kind]
            elif setting.form.write(setting.default) is None:
                assert f"\n# {setting.key} = " in text
            else:
                assert setting.read(tables[kind][setting.key]) == setting.default
    assert settings.warnings == ()
    assert all(f"\n{line}\n" in masked(settings) for line in ("heal = true  # default", 'name = "grid"'))


def test_every_setting_of_the_shipped_file_has_a_comment_before_it() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for before, line in pairwise(lines):
        if " = " in line and not line.startswith("#"):
            assert before.startswith("#"), line


OBJECTS = [DayFormat, Pacing, RetryPolicy, PlanPolicy, Alarms, Meter, Target]


@pytest.mark.parametrize("of", [*OBJECTS, schema.Settings])
def test_a_value_object_has_no_field_that_cannot_be_set(of: type) -> None:
    """And no setting is for a field that there is not."""
    declared = [each.attribute for table in schema.TABLES.values() for each in table if each.of is of]
    made = {"token"} if of is Target else set()
    if of is schema.Settings:
        made = {"accounts", "password", "targets", "source", "warnings", "flat"}
    own = {name for name, kind in get_type_hints(of).items() if kind not in OBJECTS}
    assert sorted(declared) == sorted(each.name for each in fields(of) if each.name in own - made)
