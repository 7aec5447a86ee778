"""Zones: old names are found, and how far a machine's rules can be relied on."""

from __future__ import annotations

import zoneinfo
from datetime import date
from pathlib import Path

import pytest

from collector.energy.days import UnknownZone, known_zone, zone_named
from collector.energy.zones import Rules, are_one, may_be_wrong, new_name, renewed, rules_of
from tests.support.zone_data import SYSTEM, found_in, zone_data

KYIV = ("Europe/Kyiv Europe/Kiev", "Asia/Kolkata Asia/Calcutta", "America/Los_Angeles US/Pacific")


@pytest.mark.parametrize("link", KYIV)
def test_an_old_name_is_found_where_only_the_new_one_has_a_file(link: str, tmp_path: Path) -> None:
    """Bug: Debian 13 moved `Europe/Kiev` into the package tzdata-legacy, and every day was rejected."""
    new, old = link.split()
    with zone_data(tmp_path / "zones", new) as data:
        data.release("2026f", *KYIV)
        assert zone_named(old).key == new
        assert known_zone(old) is zone_named(new)
        assert are_one(old, new)


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("Europe/Kyiv", "Europe/Kiev"),
        ("America/Nuuk", "America/Godthab"),
        ("Pacific/Kanton", "Pacific/Enderbury"),
    ],
)
def test_a_new_name_was_unknown_to_an_old_list(new: str, old: str, tmp_path: Path) -> None:
    """Bug: renames were known in one direction only; those since 2020 are known in the other, too."""
    with zone_data(tmp_path / "zones", old) as data:
        data.release("2019c")
        assert zone_named(new).key == old
        assert are_one(old, new)


def test_every_old_name_that_debian_13_moved_away_has_a_link_here() -> None:
    """This machine's text form of the data has them, too: those whose file is a link or a copy."""
    old = {line.split()[2] for line in (SYSTEM / "tzdata.zi").read_text().splitlines() if line[:2] == "L "}
    assert {"Europe/Kiev", "Asia/Calcutta", "US/Eastern", "Japan", "Asia/Chongqing"} <= old
    for name in old & zoneinfo.available_timezones():
        assert are_one(new_name(name), name)


def test_a_name_that_is_not_known_at_all_is_told_from_one_that_is_none(tmp_path: Path) -> None:
    """The list may be older than the name. What has no area of the list is no name of it."""
    with zone_data(tmp_path / "zones", "Europe/Kyiv"):
        for name in ("America/Coyhaique", "Europe/Kiev", "Asia/Kolkata", "US/Pacific"):
            with pytest.raises(UnknownZone, match="unknown time zone"):
                zone_named(name)
            assert known_zone(name) is None
        for name in ("Mars/Base", "Europe", "Nowhere"):
            with pytest.raises(ValueError, match="unknown time zone") as caught:
                zone_named(name)
            assert not isinstance(caught.value, UnknownZone)
        assert known_zone(None) is None
        assert not are_one("Europe/Kiev", "Europe/Kyiv")


def test_a_link_may_come_while_we_run(tmp_path: Path) -> None:
    """That a name was not found is not remembered: the data may be brought up to date."""
    with zone_data(tmp_path / "zones", "Europe/Kyiv") as data:
        assert known_zone("Europe/Kiev") is None
        data.release("2026f", *KYIV)
        assert known_zone("Europe/Kiev") is zone_named("Europe/Kyiv")


def test_two_zones_with_the_same_hours_today_are_two() -> None:
    """Berlin and Paris: a meter that moves there has moved."""
    assert not are_one("Europe/Berlin", "Europe/Paris")


def test_the_release_of_the_rules_is_read_from_beside_them(tmp_path: Path) -> None:
    """`None` where nothing says it; what lies there instead of the text form is no reason to stop."""
    with zone_data(tmp_path / "zones", "Europe/Berlin", "Europe/Paris", "Asia/Tokyo") as data:
        assert rules_of(zone_named("Europe/Berlin")).release is None
        data.release("2024a")
        assert rules_of(zone_named("Europe/Paris")).release == "2024a"
        (tmp_path / "zones" / "tzdata.zi").unlink()
        (tmp_path / "zones" / "tzdata.zi").mkdir()
        assert rules_of(zone_named("Asia/Tokyo")).release is None
        assert known_zone("Asia/Calcutta") is None


def test_the_package_of_pip_is_looked_at_where_the_system_has_nothing() -> None:
    """As `zoneinfo` does."""
    package = pytest.importorskip("tzdata")
    with found_in():
        rules = rules_of(zone_named("Europe/Berlin"))
        assert (rules.release, rules.in_package) == (package.IANA_VERSION, True)


@pytest.mark.parametrize(
    ("release", "wrong_from", "stale_from"),
    [("2022a", 2022, 2025), ("2024b", 2024, 2027), (None, 1900, None)],
)
def test_rules_may_be_wrong_from_the_year_of_their_release_on(
    release: str | None, wrong_from: int, stale_from: int | None, tmp_path: Path
) -> None:
    """What was decided later they do not have; only the year of a release is known."""
    with zone_data(tmp_path / "zones", "Europe/Berlin") as data:
        if release:
            data.release(release)
        zone = zone_named("Europe/Berlin")
        assert may_be_wrong(zone, date(wrong_from, 1, 1))
        assert not may_be_wrong(zone, date(wrong_from - 1, 12, 31)) or release is None
        assert not may_be_wrong(zone_named("UTC"), date(2099, 1, 1))
        stale = [year for year in range(2020, 2040) if rules_of(zone).are_stale(date(year, 1, 1))]
        assert stale[:1] == ([] if stale_from is None else [stale_from])


def test_rules_that_were_replaced_are_taken_while_we_run(tmp_path: Path) -> None:
    """An update of the data does not restart a service. A file that is gone for a moment changes nothing."""
    with zone_data(tmp_path / "zones", "Europe/Berlin") as data:
        old = zone_named("Europe/Berlin")
        assert renewed(old) is old
        data.put("Europe/Berlin", rules="Africa/Algiers")
        new = renewed(old)
        assert rules_of(new) != rules_of(old)
        assert zone_named("Europe/Berlin") is new
        (tmp_path / "zones" / "Europe" / "Berlin").unlink()
        assert renewed(new) is new
        assert rules_of(new) != Rules(None, 0, in_package=False)
