"""The archive when a zone's rules turn out old, are replaced, or its name is not known here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from collector.archive.dayfile import DayFormat, decode, encode, is_outdated, stored_day
from collector.archive.folder import missing_hours, newest_whole_hour, survey
from collector.archive.ledger import Ledger
from collector.archive.store import Archive
from collector.energy.days import local_day, zone_named
from collector.energy.history import Outcome, PlanPolicy, heal_days
from collector.energy.identity import Identity
from collector.energy.readings import EnergyDay
from collector.verify.files import inspect
from tests.support.archives import MEASURED, everything_in, older_file
from tests.support.energy_days import AUTUMN, BERLIN, LONDON, ORDINARY, SPRING, after, filled, reading
from tests.support.zone_data import ZoneData, zone_data

NAME = "Europe/Berlin"
OTHERS = "Africa/Algiers"  # an hour behind in summer: as if Berlin's clocks had not been put forward
FORMAT = DayFormat()
END = after(filled().day, hours=0.2)
TODAY = ORDINARY + timedelta(days=20)
OLD_DEVICE, NEW_DEVICE = (Identity("em", (device,), (0, 1)) for device in ("a1b2c3", "d4e5f6"))
NIGHT = reading("0", "0", "0")  # all true zeros


@pytest.fixture
def data(tmp_path: Path) -> Iterator[ZoneData]:
    """A machine on which `Europe/Berlin` may get other rules."""
    with zone_data(tmp_path / "zones", NAME) as each:
        yield each


@contextmanager
def opened(tmp_path: Path, identity: Identity | None = None) -> Iterator[Archive]:
    archive = Archive(tmp_path / "meter", FORMAT, identity=identity)
    try:
        yield archive
    finally:
        archive.close()


def day_by(day: date = ORDINARY, **options: object) -> EnergyDay:
    """That day with all its hours, laid out by the rules that hold now."""
    return filled(day, zone_named(NAME), **options)  # type: ignore[arg-type]


def wishes(archive: Archive, now: datetime) -> list[date]:
    """The past days that the next round requests."""
    policy = PlanPolicy(heal=False)  # a wish is followed all the same
    return list(heal_days(zone_named(NAME), date(2024, 1, 1), archive.known(), None, now, policy))


# -- Files of other rules -----------------------------------------------------------------------------


@pytest.mark.parametrize("partial", [False, True])
def test_a_file_saved_by_other_rules_is_requested_again(
    partial: bool, data: ZoneData, tmp_path: Path
) -> None:
    """Bug: hours in the middle of a day stayed where the old rules had put them, for ever."""
    later = END + timedelta(days=20)
    with opened(tmp_path) as archive:
        archive.merge(day_by(without=range(3, 21) if not partial else [0, 1, 22, 23]), END)
        archive.scan(TODAY)
        assert archive.outdated == set()
        data.put(NAME, rules=OTHERS)
        assert archive.scan(TODAY) == ()
        assert archive.outdated == {ORDINARY}
        assert wishes(archive, later) == [ORDINARY]
        outcome = archive.merge(day_by(), later)
        assert (outcome.outcome, outcome.revisions, len(outcome.quarantined)) == (Outcome.WRITTEN, (), 1)
        assert archive.scan(TODAY) == ()
        assert (archive.outdated, wishes(archive, later)) == (set(), [])
        assert stored(tmp_path) == day_by().readings


def stored(tmp_path: Path, day: date = ORDINARY) -> object:
    file = decode((tmp_path / "meter" / f"{day}.jsonl").read_bytes(), day)
    return stored_day(file, local_day(day, zone_named(NAME)), no_solar=False).readings


def test_a_file_of_other_rules_stays_where_nobody_can_give_its_day_again(
    data: ZoneData, tmp_path: Path
) -> None:
    """It is requested again, but not moved aside: the answer has nothing to put in its place."""
    later = END + timedelta(days=20)
    with opened(tmp_path) as archive:
        archive.merge(day_by(), END)
        path = tmp_path / "meter" / f"{ORDINARY}.jsonl"
        before = path.read_bytes()
        data.put(NAME, rules=OTHERS)
        archive.scan(TODAY)
        outcome = archive.merge(EnergyDay(local_day(ORDINARY, zone_named(NAME)), {}), later)
        assert (outcome.outcome, outcome.quarantined) == (Outcome.UNCHANGED, ())
        assert path.read_bytes() == before
        assert archive.known()[ORDINARY].complete  # as it says: asking for it once more is no help
        assert wishes(archive, later + timedelta(days=1)) == []


def test_a_day_that_the_rules_do_not_change_is_left_alone(data: ZoneData, tmp_path: Path) -> None:
    """In winter both have the same hours."""
    winter = date(2024, 1, 15)
    with opened(tmp_path) as archive:
        archive.merge(day_by(winter), after(day_by(winter).day, days=20))
        data.put(NAME, rules=OTHERS)
        archive.scan(TODAY)
        assert (archive.outdated, wishes(archive, END)) == (set(), [])


def test_one_hour_that_is_off_is_damage_and_not_the_rules() -> None:
    """A digit of `ts` was lost: as before."""
    data = encode(filled(), 4, complete=True)
    ts = filled().day.hours[-1]
    file = decode(data.replace(f'"ts": {ts}'.encode(), f'"ts": {ts + 900}'.encode()), ORDINARY)
    assert not is_outdated(file, BERLIN)


@pytest.mark.parametrize("day", [ORDINARY, SPRING, AUTUMN])
def test_a_file_of_today_s_rules_is_not_outdated(day: date) -> None:
    """Ours, and one of the older utility; with holes, and on the days on which the clocks change."""
    for data in (
        encode(filled(day), 4, complete=True),
        encode(filled(day, without=[0, 5, 6]), 4, complete=False),
        older_file(lambda label: MEASURED, day=day),
    ):
        assert not is_outdated(decode(data, day), BERLIN)
        assert is_outdated(decode(data, day), LONDON)


def test_verify_names_the_cause_in_one_line(data: ZoneData, tmp_path: Path) -> None:
    """Not in ninety: four columns of each of 24 hours."""
    with opened(tmp_path) as archive:
        archive.merge(day_by(), END)
    data.put(NAME, rules=OTHERS)
    data.restart()
    found = inspect(tmp_path / "meter", None, END)
    (column,) = [each for each in found.findings if each.code == "columns"]
    assert NAME in column.text


def test_what_another_device_counted_of_a_day_stays_also_by_other_rules(
    data: ZoneData, tmp_path: Path
) -> None:
    """The day on which a device was replaced: the new one knows nothing of the hours before."""
    with opened(tmp_path, OLD_DEVICE) as archive:
        assert archive.claim()
        archive.merge(day_by(), END)
    with opened(tmp_path, NEW_DEVICE) as archive:
        archive.adopt(ORDINARY)
        archive.scan(TODAY)
        path = tmp_path / "meter" / f"{ORDINARY}.jsonl"
        before = path.read_bytes()
        data.put(NAME, rules=OTHERS)
        archive.scan(TODAY)
        assert archive.outdated == {ORDINARY}
        outcome = archive.merge(day_by(each=NIGHT), END + timedelta(days=20))
        assert (outcome.outcome, path.read_bytes()) == (Outcome.UNCHANGED, before)


# -- Rules in doubt -----------------------------------------------------------------------------------


def test_no_day_is_complete_while_the_rules_are_in_doubt(data: ZoneData, tmp_path: Path) -> None:
    """Those of before the release aside. What was just saved as complete no longer is; older files stay."""
    data.release("2024a")
    days = {days: ORDINARY - timedelta(days=days) for days in (0, 1, 2, 3)}
    old = date(2023, 6, 12)
    now = END + timedelta(days=2)
    with opened(tmp_path) as archive:
        archive.merge(day_by(days[3]), now - timedelta(days=1))
        archive.merge(day_by(days[2]), now - timedelta(hours=1))
        archive.suspect(zone_named(NAME), "an hour comes twice", now, days[0])
        assert archive.merge(day_by(days[1]), now).outcome is Outcome.PARTIAL
        assert archive.merge(day_by(old), now).complete
        states = {day: state.complete for day, state in archive.known().items()}
        assert states == {days[3]: True, days[2]: False, days[1]: False, old: True}
        archive.scan(TODAY)
        assert {day: state.complete for day, state in archive.known().items()} == states
        file = decode((tmp_path / "meter" / f"{days[2]}.jsonl").read_bytes(), days[2])
        assert (file.partial, file.readings) == (True, day_by(days[2]).readings)
    with opened(tmp_path) as archive:  # and after a restart
        archive.scan(TODAY)
        assert {day: state.complete for day, state in archive.known().items()} == states
        assert archive.merge(day_by(ORDINARY - timedelta(days=5)), now).outcome is Outcome.PARTIAL


def test_days_held_back_are_not_requested_all_the_time(data: ZoneData, tmp_path: Path) -> None:
    """Another request changes nothing before the rules are new; then all are requested at once."""
    later = END + timedelta(days=5)
    with opened(tmp_path) as archive:
        archive.suspect(zone_named(NAME), "an hour comes twice", END)
        archive.merge(day_by(), END)
        archive.scan(TODAY)
        assert wishes(archive, later) == []
        zone = zone_named(NAME)
        assert list(heal_days(zone, date(2024, 1, 1), archive.known(), None, later, PlanPolicy())) == []
        data.put(NAME, rules=OTHERS)
        archive.scan(TODAY)
        assert archive.ledger.suspicion is None
        assert wishes(archive, later) == [ORDINARY]
        assert archive.merge(day_by(), later).complete
    assert Ledger(tmp_path / "meter" / ".collector" / "ledger.jsonl").suspicion is None


def test_an_answer_that_fits_after_all_ends_the_doubt(data: ZoneData, tmp_path: Path) -> None:
    """The one that did not was a mistake of the cloud. The other days are requested again."""
    now = END + timedelta(days=2)
    other = ORDINARY - timedelta(days=1)
    with opened(tmp_path) as archive:
        archive.suspect(zone_named(NAME), "an hour comes twice", now, ORDINARY)
        archive.merge(day_by(other), now)
        archive.merge(EnergyDay(local_day(ORDINARY, zone_named(NAME)), {}), now)
        assert not archive.merge(day_by(other), now).complete  # an answer without an hour shows nothing
        assert archive.merge(day_by(), now).complete
        assert wishes(archive, now) == [other]
        assert archive.merge(day_by(other), now).complete


def test_zeros_of_a_day_held_back_are_measurements(data: ZoneData, tmp_path: Path) -> None:
    """It has every hour and says partial, as only the older utility's files do, whose zeros are none."""
    day = day_by(each=NIGHT)
    with opened(tmp_path) as archive:
        archive.suspect(zone_named(NAME), "an hour comes twice", END)
        archive.merge(day, END)
        few = EnergyDay(day.day, {day.day.hours[5]: reading("9", "0", "0")})
        outcome = archive.merge(few, END)
        assert (outcome.outcome, outcome.hours, outcome.missing) == (Outcome.PARTIAL, 24, 0)
        assert outcome.revisions[0].new_kwh == Decimal("9.0000")
    known, zone, _ = survey(tmp_path / "meter", FORMAT)
    assert zone is not None
    folder = tmp_path / "meter"
    assert newest_whole_hour(folder, known, zone, no_solar=False) == day.day.hours[-1]
    assert missing_hours(folder, known, zone, [ORDINARY], END, no_solar=False) == 0


def test_the_doubt_is_remembered_in_its_line(tmp_path: Path) -> None:
    """Also when the journal is made again; one that cannot be read is dropped, and reported."""
    path = tmp_path / "ledger.jsonl"
    with zone_data(tmp_path / "zones", NAME), opened(tmp_path) as archive:
        archive.suspect(zone_named(NAME), "x" * 300, datetime(2026, 1, 1, tzinfo=UTC), ORDINARY)
        noted = archive.ledger.suspicion
        assert noted is not None
    ledger = Ledger(path)
    ledger.note_suspicion(noted)
    assert (Ledger(path).suspicion, Ledger(path).rebuilt) == (noted, False)
    with path.open("ab") as file:
        file.write(b'{"suspected": -1, "because": "", "of": null}\n')
    ledger = Ledger(path)
    assert (ledger.suspicion, ledger.rebuilt) == (noted, True)
    ledger.mend()
    assert (Ledger(path).suspicion, Ledger(path).rebuilt) == (noted, False)


def test_an_archive_that_is_not_taken_is_not_put_in_doubt(data: ZoneData, tmp_path: Path) -> None:
    """It may be another meter's: whatever an answer shows, nothing of it is written there."""
    with opened(tmp_path, OLD_DEVICE) as archive:
        assert archive.claim()
        archive.merge(day_by(), END)
    before = everything_in(tmp_path / "meter")
    with opened(tmp_path, NEW_DEVICE) as archive:
        data.put(NAME, rules=OTHERS)
        archive.scan(TODAY)
        archive.suspect(zone_named(NAME), "an hour comes twice", END, ORDINARY)
        archive.trust()
        archive.request_again(ORDINARY, "whatever")
        assert (archive.outdated, archive.ledger.suspicion) == (set(), None)
    assert everything_in(tmp_path / "meter") == before


# -- A zone that is not known here --------------------------------------------------------------------


def test_an_archive_of_a_zone_that_is_not_known_here_is_not_damaged(tmp_path: Path) -> None:
    """Bug: after an upgrade to Debian 13 the ledger was rebuilt, and what it knew of each day was lost."""
    empty = ORDINARY + timedelta(days=1)
    with opened(tmp_path) as archive:
        archive.merge(filled(), END)
        archive.merge(EnergyDay(local_day(empty, BERLIN), {}), END + timedelta(days=2))
        archive.ledger.note_zone("Europe/Kiev")
    before = {path: path.read_bytes() for path in (tmp_path / "meter").rglob("*") if path.is_file()}
    with zone_data(tmp_path / "zones", "Europe/Kyiv"):
        with opened(tmp_path) as archive:
            assert archive.scan(TODAY) == ()
            assert (archive.zone, archive.ledger.zone) == (None, "Europe/Kiev")
            assert not archive.ledger.rebuilt
            assert archive.known()[ORDINARY].complete
            assert archive.known()[empty].is_empty
        known, zone, _ = survey(tmp_path / "meter", FORMAT)
        assert (known[ORDINARY].complete, zone) == (True, None)
        found = inspect(tmp_path / "meter", None, END)
        assert (found.findings, found.zone, found.unknown_zone) == ((), None, "Europe/Kiev")
        found = inspect(tmp_path / "meter", "Europe/Kyiv", END)
        assert (str(found.zone), found.unknown_zone) == ("Europe/Kyiv", "Europe/Kiev")
    assert {path: path.read_bytes() for path in before} == before
