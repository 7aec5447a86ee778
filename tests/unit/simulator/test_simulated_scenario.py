"""A scenario file can set every option, and all its errors are reported at once."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from collector import simulator
from collector.errors import SettingsError
from collector.simulator import Account, Device, Hole, Limit, Revision, Shrink
from tests.support import faulty_cloud
from tests.support.cloud_faults import KINDS
from tests.support.cloud_spans import SPAN_KINDS
from tests.support.faulty_cloud import Fault, FaultyCloud, Scenario
from tests.support.simulated_requests import scenario

EXAMPLE = Path(__file__).with_name("every_variant.toml").read_text()
FAULTS = Path(__file__).with_name("every_fault.toml").read_text()
ACCOUNT = '[[account]]\nname = "home"\nauth_key = "SIMULATED0KEY0000"\n'
DEVICE = ACCOUNT + '[[account.device]]\nid = "e8db84d2a1b3"\n'


def problems(text: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        faulty_cloud.parse(text)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_is_read_as_it_is_meant() -> None:
    read = simulator.parse(EXAMPLE)
    home, barn = read.account
    assert read.now == datetime(2026, 3, 10, 14, 20, tzinfo=UTC)
    assert home.limit == Limit("strict", 1.0, "max_req", "2")
    assert home.device[0] == Device("e8db84d2a1b3")
    assert home.device[1].hole[0].since == date(2026, 3, 1)
    assert barn.limit == Limit("none")
    assert barn.device[0].hole[0].channel == 2


def test_the_example_of_faults_is_read_as_it_is_meant() -> None:
    read = faulty_cloud.parse(FAULTS)
    assert read.fault[0].on_requests == (3, 4)
    assert read.fault[1].since == datetime(2026, 3, 10, 16, tzinfo=UTC)


def test_faults_are_for_the_tests_alone() -> None:
    with pytest.raises(SettingsError, match="fault: unknown"):
        simulator.parse(FAULTS)


@pytest.mark.parametrize(
    "cls", [simulator.Scenario, Account, Limit, Device, Hole, Revision, Shrink, Scenario, Fault]
)
def test_the_examples_show_every_option(cls: type) -> None:
    example = EXAMPLE + FAULTS if cls in (Scenario, Fault) else EXAMPLE
    for field in fields(cls):
        name = "from" if field.name == "since" else field.name
        shown = any(
            start + name + end in example for start in ("\n", "\n  ", "# ", "{ ", "[") for end in (" =", "]")
        )
        assert shown or f".{name}]]" in example or f".{name}]" in example, name


def test_the_example_names_every_kind_of_fault() -> None:
    named = set(FAULTS.partition("# Kinds that refuse")[2].replace("#", " ").split())
    assert {*KINDS, *SPAN_KINDS} <= named


def test_an_empty_file_is_a_cloud_without_accounts() -> None:
    assert simulator.parse("") == simulator.Scenario()


def test_all_problems_are_reported_at_once() -> None:
    found = problems(
        'sped = 2\nlatency_s = -1\nnow = 2026-03-01T12:00:00\n[[account]]\nname = "a"\nauth_key = "!"\n'
        '[[account.device]]\nid = "X"\nkind = "4em"\ntimezone = "Mars/Base"\ntariffs = 99\n'
        '[[fault]]\nkind = "stal"\nevery = 0\n[[fault]]\nevery = "x"\n'
    )
    assert sorted(found) == sorted(
        [
            "sped: unknown, did you mean speed?",
            "account[0].device[0].kind = 4em: must be one of em, 3em",
            "fault[1].kind: must be given",
            "fault[1].every = x: must be a whole number",
            "now = 2026-03-01 12:00:00: must be a date and time with an offset, such as 2026-03-01T12:00:00Z",
            "latency_s = -1.0: must not be negative",
            "account.auth_key: must be 8 to 512 printable ASCII characters without spaces",
            "account.device.id = X: must be 12 (or 6) lower-case hex digits",
            "account.device.timezone = Mars/Base: unknown time zone",
            "account.device.tariffs = 99: must be 0 to 9",
            "fault.kind = stal: unknown, did you mean stall?",
            "fault.every = 0: must be 1 or more",
        ]
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[", "scenario: not TOML"),
        ("account = 3", "account = 3: must be a list"),
        ("account = [3]", "account[0]: must be a table"),
        ("[[account]]", "account[0].name: must be given"),
        ("speed = true", "speed = True: must be a number"),
        ("hour_span_h = 1.5", "hour_span_h = 1.5: must be a whole number"),
        (ACCOUNT + ACCOUNT.replace("home", "barn"), "account.auth_key: used twice"),
        (ACCOUNT + ACCOUNT.replace("KEY0", "KEY1"), "account.name = home: used twice"),
        (ACCOUNT + "limit = 3", "account[0].limit: must be a table"),
        (ACCOUNT + '[account.limit]\nretry_after = "1\\r\\nX: y"', "would break out of its header"),
        (DEVICE + "installed_since = 2026-03-01T00:00:00", "must be a date"),
        (DEVICE + 'tariff_zero = "rest"', "needs tariffs"),
        (DEVICE + "[[account.device.hole]]\nfrom = 3\nuntil = 2026-03-01", "must be a local date or time"),
        (DEVICE + "hole = [{ from = 2026-03-01, until = 2026-03-02, channel = 2 }]", "no such channel"),
        ('[[fault]]\nkind = "stall"\nretry_after = "2"', "stall is no refusal"),
        ('[[fault]]\nkind = "span_day_gon"', "did you mean span_day_gone?"),
        ('[[fault]]\nkind = "span_day_gone"\nasks = "day"', "span_day_gone is for spans"),
        (DEVICE + "late_minutes = -1", "must not be negative"),
    ],
)
def test_each_mistake_is_named(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text)), problems(text)


def test_a_key_is_not_repeated_in_a_problem() -> None:
    assert not any("12345" in found for found in problems('[[account]]\nname = "a"\nauth_key = 12345'))


def test_a_scenario_made_in_code_is_checked_too() -> None:
    with pytest.raises(SettingsError, match="did you mean stall"):
        FaultyCloud(scenario(fault=(Fault("stal"),)))


def test_the_default_has_a_pair_and_a_two_clamp_meter_installed_three_years_ago() -> None:
    default = Scenario.default(date(2026, 11, 20))
    (account,) = default.account
    assert len(account.auth_key) >= 40 and "NOT0A0REAL0KEY" in account.auth_key
    assert [(device.kind, device.counts) for device in account.device] == [
        ("em", "grid"), ("3em", "grid"), ("3em", "solar"),
    ]  # fmt: skip
    assert {device.installed_since for device in account.device} == {date(2023, 11, 21)}
