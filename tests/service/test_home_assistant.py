"""Home Assistant beside the service: its statistics have every stored hour, with exact totals."""

from __future__ import annotations

import asyncio
import io
import tempfile
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.errors import PublishError, TargetRefused
from collector.overview import MeterFiles
from collector.publish.homeassistant import Difference, opened
from collector.publish.publisher import all_hours, publish
from collector.publish.targets import Target, TargetKind
from collector.simulator import Device, Revision
from collector.status import TargetStatus
from tests.support.archives import files_of, flip
from tests.support.energy_days import AUTUMN, BERLIN, SPRING, energy_days, filled, reading
from tests.support.exported import store
from tests.support.home_assistant import ADMIN_TOKEN, NEW, OLD, USER_TOKEN, Fault, HomeAssistantServer
from tests.support.service_life import START, Living, events_in, house, living, status_of
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.world import DEVICE, cloud_of, records_of

SHALLOW: dict[str, Any] = {"schedule": {"backfill_days": 3}}
KINDS = ("import", "export", "solar")
DAY = timedelta(days=1)


def table(home: HomeAssistantServer, **more: object) -> dict[str, object]:
    """A `[[publish]]` table for it."""
    return {"name": "ha", "kind": "homeassistant", "url": home.url, "token": ADMIN_TOKEN, **more}


def target_of(home: HomeAssistantServer, token: str = ADMIN_TOKEN) -> Target:
    return Target("ha", TargetKind.HOME_ASSISTANT, home.url, token)


def assert_has_all(home: HomeAssistantServer, folder: Path) -> None:
    """Each statistic has the hours that are stored, and the total at the end of each, exact."""
    records = [record for file in sorted(folder.glob("*.jsonl")) for record in records_of(file)]
    assert records
    for kind in KINDS:
        total, expected = Decimal(0), {}
        for record in records:
            if kind in record:
                total += record[kind]
                expected[record["ts"]] = float(total)
        rows = home.rows_of(f"shelly_collector:{folder.name}_{kind}")
        assert {at: row.sum for at, row in rows.items()} == expected, kind


def target(service: Living) -> TargetStatus:
    return status_of(service).targets["ha"]


def grid(tmp_path: Path) -> MeterFiles:
    return files_of(tmp_path / "grid", timezone="Europe/Berlin").meters[0]


def sum_of(folder: Path, column: str) -> float:
    """The energy of all stored hours, kWh."""
    return float(sum(record[column] for file in folder.glob("*.jsonl") for record in records_of(file)))


def sum_of_readable(folder: Path, column: str) -> float:
    """The same, of the files that can be read."""
    total = 0.0
    for file in folder.glob("*.jsonl"):
        with suppress(ValueError):
            total += float(sum(record[column] for record in records_of(file)))
    return total


def assert_energy_is_that_of(home: HomeAssistantServer, folder: Path) -> None:
    """The hours' imports are not negative, and add up to what is stored."""
    now = changes(home)
    assert min(now.values()) >= 0
    assert sum(now.values()) == pytest.approx(sum_of(folder, "import"))


async def sent(home: HomeAssistantServer, files: MeterFiles, token: str = ADMIN_TOKEN) -> int:
    """Sends what is missing; the number of hours."""
    counts: dict[str, int] = {}
    await publish(
        target_of(home, token), [files], BERLIN, lambda name, hours, _: counts.update({name: hours})
    )
    return sum(counts.values())


@pytest.mark.parametrize("version", [OLD, NEW])
async def test_every_stored_hour_is_there_after_the_backfill_and_each_new_one_after_its_save(
    version: str, tmp_path: Path, log_lines: io.StringIO
) -> None:
    """Also with a version that refuses the keys that a later one wants, and without a warning of either."""
    async with (
        HomeAssistantServer(version) as home,
        living(cloud_of(), tmp_path / "archive", START, publish=[table(home)], **SHALLOW) as service,
    ):
        await service.pass_time(minutes=30)
        assert_has_all(home, service.world.folder())
        home.imports.clear()
        await service.pass_time(hours=1)
        assert_has_all(home, service.world.folder())
        assert [len(each.starts) for each in home.imports] == [1, 1, 1]
        assert (home.refusals, home.warnings) == ([], [])
        assert target(service).failure is None
    assert events_in(log_lines.getvalue(), "publish.failed") == []
    assert ADMIN_TOKEN not in log_lines.getvalue()


async def test_a_home_assistant_that_is_down_for_a_day_gets_everything_when_it_is_back(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    home = HomeAssistantServer()
    async with home:
        pass  # it had a port
    async with living(cloud_of(), tmp_path / "archive", START, publish=[table(home)], **SHALLOW) as service:
        await service.pass_time(hours=30)
        assert target(service).failure is not None
        assert house(service).state.is_well
        home.starting_s = 120.0
        async with home:
            await service.pass_time(minutes=20)
            assert_has_all(home, service.world.folder())
            assert target(service).failure is None
    assert len(events_in(log_lines.getvalue(), "publish.failed")) == 1
    assert len(events_in(log_lines.getvalue(), "publish.recovered")) == 1


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_home_assistant_that_is_down_behind_a_proxy_is_an_outage(status: int, tmp_path: Path) -> None:
    """Bug: it counted as a wrong address, which is tried once an hour."""
    home = HomeAssistantServer()
    home.http_status = status
    async with (
        home,
        living(cloud_of(), tmp_path / "archive", START, publish=[table(home)], **SHALLOW) as service,
    ):
        await service.pass_time(minutes=5)
        failure = target(service).failure
        assert failure is not None
        assert (str(status) in failure.reason, "Check url" in failure.cure) == (True, False)
        home.http_status = None
        await service.pass_time(minutes=10)
        assert_has_all(home, service.world.folder())
        assert target(service).failure is None


async def test_a_restart_in_the_middle_of_an_import_loses_nothing(tmp_path: Path) -> None:
    """What was queued there is gone, and no answer says so."""
    async with HomeAssistantServer(file=tmp_path / "statistics") as home:
        home.queue_s = 30.0
        async with living(
            cloud_of(), tmp_path / "archive", START, publish=[table(home)], **SHALLOW
        ) as service:
            while not home.imports:
                await service.pass_time(seconds=1)
            await home.kill()
            home.queue_s = 0.0
            await service.pass_time(minutes=3)
            await home.start()
            await service.pass_time(minutes=20)
            assert_has_all(home, service.world.folder())


async def test_a_stop_in_the_middle_is_quick_and_the_next_start_sends_the_rest(tmp_path: Path) -> None:
    async with HomeAssistantServer() as home:
        home.latency_s = 5.0
        tables = {"publish": [table(home)], **SHALLOW}
        async with living(cloud_of(), tmp_path / "archive", START, **tables) as service:
            while not home.messages["recorder/statistics_during_period"]:
                await service.pass_time(seconds=5)
            assert await service.stop() < 5
        home.latency_s = 0.0
        async with living(cloud_of(), tmp_path / "archive", START + timedelta(hours=1), **tables) as service:
            await service.pass_time(minutes=30)
            assert_has_all(home, service.world.folder())


async def test_a_corrected_hour_is_sent_with_all_that_follow_it_and_nothing_before(tmp_path: Path) -> None:
    hour = (START - timedelta(days=1)).replace(hour=9, minute=0)
    revision = Revision(START + timedelta(hours=3), hour, hour + timedelta(hours=1), channel=1)
    device = Device(DEVICE, revision=(revision,))
    async with (
        HomeAssistantServer() as home,
        living(cloud_of(device), tmp_path / "archive", START, publish=[table(home)], **SHALLOW) as service,
    ):
        await service.pass_time(hours=3)
        home.imports.clear()
        await service.pass_time(hours=14)
        assert_has_all(home, service.world.folder())
        corrected = [each for each in home.imports if min(each.starts) <= hour.timestamp()]
        assert [min(each.starts) for each in corrected] == [int(hour.timestamp())]
        assert corrected[0].statistic_id.endswith("_solar")


async def test_a_token_that_is_not_an_administrators_is_refused_in_words(tmp_path: Path) -> None:
    async with (
        HomeAssistantServer() as home,
        living(
            cloud_of(), tmp_path / "archive", START, publish=[table(home, token=USER_TOKEN)], **SHALLOW
        ) as service,
    ):
        await service.pass_time(minutes=30)
        failure = target(service).failure
        assert failure is not None
        assert "administrator" in failure.reason
        assert "token_file" in failure.cure
        assert house(service).state.is_well


# -- One pass -------------------------------------------------------------------------------------------


async def test_a_redirect_is_not_followed_because_the_token_is_for_one_host(tmp_path: Path) -> None:
    """Bug: the token was given to wherever the redirect led."""
    store(tmp_path / "grid", [filled(SPRING)])
    async with HomeAssistantServer() as other, HomeAssistantServer() as home:
        home.http_status, home.location = 307, f"{other.url}/api/websocket"
        with pytest.raises(TargetRefused, match="answers 307") as refused:
            await sent(home, grid(tmp_path))
        assert refused.value.cure == "Check url."
        assert other.connections == 0


async def test_days_of_23_and_25_hours_and_a_gap_have_exact_totals(tmp_path: Path) -> None:
    store(tmp_path / "grid", [filled(SPRING), filled(SPRING + 2 * DAY, without=[3, 4]), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        assert await sent(home, grid(tmp_path)) == 23 + 22 + 25
        assert_has_all(home, tmp_path / "grid")
        assert await sent(home, grid(tmp_path)) == 0


async def test_a_gap_that_healed_is_filled_and_everything_later_has_its_energy(tmp_path: Path) -> None:
    store(tmp_path / "grid", [filled(SPRING), filled(SPRING + DAY, without=range(5, 20)), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        store(tmp_path / "grid", [filled(SPRING + DAY)])
        home.imports.clear()
        assert await sent(home, grid(tmp_path)) == 19 + 25
        assert_has_all(home, tmp_path / "grid")


async def test_an_hour_without_solar_has_no_solar_row(tmp_path: Path) -> None:
    """And no zero: the next one continues the total."""
    day = filled(AUTUMN)
    without = {
        ts: each for place, ts in enumerate(day.day.hours) if (each := reading(solar_kwh=None)) and place == 3
    }
    store(tmp_path / "grid", [replace(day, readings={**day.readings, **without})])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        assert_has_all(home, tmp_path / "grid")
        assert len(home.rows_of("shelly_collector:grid_solar")) == 24


@pytest.mark.parametrize("kind", ["close", "close_after", "error", "answer"])
@pytest.mark.parametrize(
    "command", ["get_config", "recorder/statistics_during_period", "recorder/import_statistics"]
)
async def test_whatever_a_command_is_answered_the_next_attempt_completes_it(
    kind: Any, command: str, tmp_path: Path
) -> None:
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        home.faults = [Fault(kind, on=(1,), command=command, text='{"id": null, "result": [NaN')]
        with pytest.raises(PublishError):
            await sent(home, grid(tmp_path))
        await sent(home, grid(tmp_path))
        assert_has_all(home, tmp_path / "grid")
        assert await sent(home, grid(tmp_path)) == 0


@pytest.mark.parametrize("command", ["get_config", "recorder/import_statistics"])
async def test_a_command_that_is_never_answered_ends_within_a_minute(command: str, tmp_path: Path) -> None:
    store(tmp_path / "grid", [filled(SPRING)])
    async with HomeAssistantServer() as home:
        home.faults = [Fault("silence", command=command)]
        with pytest.raises(PublishError, match="60 s"):
            await sent(home, grid(tmp_path))


_ANSWER = '{"id": 2, "success": true, "result": %s}'


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"text"',
        "{}",
        _ANSWER % "[1]",
        _ANSWER % '{"shelly_collector:grid_import": 7}',
        _ANSWER % '{"shelly_collector:grid_import": [{"start": null}]}',
        _ANSWER % '{"shelly_collector:grid_import": [{"start": 1e999, "sum": 1}]}',
        _ANSWER % '{"shelly_collector:grid_import": [{"start": 0, "sum": "x"}]}',
        '{"id": 2, "success": false}',
        '{"id": 2, "success": false, "error": 5}',
        "[" * 100_000,
    ],
)
async def test_an_answer_that_makes_no_sense_is_one_clear_error(text: str, tmp_path: Path) -> None:
    store(tmp_path / "grid", [filled(SPRING)])
    async with HomeAssistantServer() as home:
        home.faults = [Fault("answer", command="recorder/statistics_during_period", text=text)]
        with pytest.raises(PublishError, match="Home Assistant"):
            await sent(home, grid(tmp_path))


async def test_what_dies_between_sending_and_noting_sends_it_again_which_changes_nothing(
    tmp_path: Path,
) -> None:
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        (tmp_path / "grid/.collector/publish-ha.json").unlink()
        assert await sent(home, grid(tmp_path)) == 23 + 25
        assert_has_all(home, tmp_path / "grid")
        assert await sent(home, grid(tmp_path)) == 0


async def test_rows_of_a_failed_attempt_replaced_equal_ones_when_their_turn_came(tmp_path: Path) -> None:
    """Bug: the file was removed meanwhile, so that the totals were right, until the queue ended."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        home.queue_s = 5.0
        home.faults = [Fault("close", on=(3,), command="recorder/import_statistics")]
        store(tmp_path / "grid", [filled(SPRING + DAY)])
        with pytest.raises(PublishError):
            await sent(home, grid(tmp_path))
        (tmp_path / "grid" / f"{SPRING + DAY}.jsonl").unlink()
        await sent(home, grid(tmp_path))
        await asyncio.sleep(60)
        later = {
            at: row
            for at, row in home.rows_of("shelly_collector:grid_import").items()
            if at >= filled(AUTUMN).day.start
        }
        assert max(row.sum or 0 for row in later.values()) == pytest.approx(
            sum_of(tmp_path / "grid", "import")
        )


async def test_a_home_assistant_that_lost_its_statistics_gets_them_with_the_next_hour(tmp_path: Path) -> None:
    """It was restored from a backup, or installed anew."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        port = int(home.url.rpartition(":")[2])
    async with HomeAssistantServer(port=port) as new:
        store(tmp_path / "grid", [filled(AUTUMN + DAY)])
        await sent(new, grid(tmp_path))
        assert_has_all(new, tmp_path / "grid")


def changes(home: HomeAssistantServer, kind: str = "import") -> dict[int, float]:
    """The energy of each hour as Home Assistant shows it."""
    sums = [(at, row.sum or 0.0) for at, row in home.rows_of(f"shelly_collector:grid_{kind}").items()]
    befores = [0.0, *(each for _, each in sums)]
    return {at: round(total - before, 6) for (at, total), before in zip(sums, befores, strict=False)}


@pytest.mark.parametrize("day", [SPRING, AUTUMN, AUTUMN + DAY])
@pytest.mark.parametrize("how", ["damaged", "removed", "shorter"])
async def test_an_hour_that_is_no_longer_stored_was_negative_energy_in_the_next(
    day: date, how: str, tmp_path: Path
) -> None:
    """Bug: Home Assistant keeps the hours. They lose their energy, and have it again when they are back."""
    days = [filled(SPRING), filled(AUTUMN), filled(AUTUMN + DAY)]
    store(tmp_path / "grid", days)
    file = tmp_path / "grid" / f"{day}.jsonl"
    whole = file.read_bytes()
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        before = changes(home)
        if how == "damaged":
            file.write_bytes(whole[:1000] + b"?")
        elif how == "removed":
            file.unlink()
        else:
            file.write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
        await sent(home, grid(tmp_path))
        now = changes(home)
        assert min(now.values()) >= 0
        assert sum(now.values()) == pytest.approx(sum_of_readable(tmp_path / "grid", "import"))
        assert now.keys() == before.keys()
        file.write_bytes(whole)
        await sent(home, grid(tmp_path))
        assert changes(home) == before


@pytest.mark.parametrize("day", [SPRING, AUTUMN, AUTUMN + DAY])
async def test_an_hour_that_is_no_longer_stored_loses_its_energy_also_after_a_failed_attempt(
    day: date, tmp_path: Path
) -> None:
    """Bug: the attempt forgot that the hours had been sent, and each later one left them as they were."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN), filled(AUTUMN + DAY)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        (tmp_path / "grid" / f"{day}.jsonl").unlink()
        home.faults = [Fault("close", on=(1,), command="recorder/import_statistics")]
        with pytest.raises(PublishError):
            await sent(home, grid(tmp_path))
        home.faults = []
        await sent(home, grid(tmp_path))
        assert_energy_is_that_of(home, tmp_path / "grid")


async def test_an_hour_that_is_no_longer_stored_loses_its_energy_also_where_nothing_was_noted(
    tmp_path: Path,
) -> None:
    """Bug: also `publish --once --all` left it with the old total, which made the next hour negative."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN), filled(AUTUMN + DAY)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        (tmp_path / "grid" / f"{AUTUMN}.jsonl").unlink()
        (tmp_path / "grid/.collector/publish-ha.json").unlink()
        await sent(home, grid(tmp_path))
        assert_energy_is_that_of(home, tmp_path / "grid")


async def test_a_correction_before_an_hour_that_is_no_longer_stored_moves_its_total_too(
    tmp_path: Path,
) -> None:
    """Bug: it kept its own, so that it was negative by the correction, and the next hour had it."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN), filled(AUTUMN + DAY)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path))
        (tmp_path / "grid" / f"{AUTUMN}.jsonl").unlink()
        await sent(home, grid(tmp_path))
        flip(tmp_path / "grid" / f"{SPRING}.jsonl", "import")
        await sent(home, grid(tmp_path))
        now = changes(home)
        assert all(now[ts] == 0 for ts in filled(AUTUMN).readings)
        assert sum(now.values()) == pytest.approx(sum_of(tmp_path / "grid", "import"))


@pytest.mark.parametrize("days_between", [0, 20, 600])
async def test_after_years_that_only_home_assistant_has_an_hour_was_negative_by_all_of_them(
    days_between: int, tmp_path: Path
) -> None:
    """Bug: a new archive, as after a dead SD card, began at zero. The years stay, the totals continue."""
    first = SPRING + (days_between + 2) * DAY
    new = [filled(first, without=[0, 1]), filled(first + DAY)]
    store(tmp_path / "old" / "grid", [filled(SPRING), filled(SPRING + DAY), filled(first)])
    store(tmp_path / "grid", new)
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path / "old"))
        before = changes(home)
        await sent(home, grid(tmp_path))
        flip(tmp_path / "grid" / f"{first + DAY}.jsonl", "import")
        await sent(home, grid(tmp_path))
        now = changes(home)
        early = {at: kwh for at, kwh in before.items() if at < min(new[0].readings)}
        assert now.items() >= early.items()
        later = sum(kwh for at, kwh in now.items() if at not in early)
        assert later == pytest.approx(sum_of(tmp_path / "grid", "import"))
        assert min(now.values()) >= 0
        assert await differences(home, grid(tmp_path)) == []
        assert await sent(home, grid(tmp_path)) == 0


async def differences(home: HomeAssistantServer, files: MeterFiles) -> list[Difference]:
    """What `publish --check` finds."""
    pending = all_hours(files, BERLIN)
    assert pending is not None
    async with opened(target_of(home)) as connection:
        return await connection.check(pending)


async def test_they_stay_there_also_when_all_is_compared_after_a_loss_on_both_sides(tmp_path: Path) -> None:
    store(tmp_path / "old" / "grid", [filled(SPRING)])
    store(tmp_path / "grid", [filled(AUTUMN + number * DAY) for number in range(4)])
    async with HomeAssistantServer() as home:
        await sent(home, grid(tmp_path / "old"))
        before = changes(home)
        await sent(home, grid(tmp_path))
        (tmp_path / "grid" / f"{AUTUMN + 2 * DAY}.jsonl").unlink()
        rows = home._statistics["shelly_collector:grid_import"].rows
        for ts in filled(AUTUMN + DAY).readings:
            del rows[ts]
        await sent(home, grid(tmp_path))
        assert changes(home).items() >= before.items()
        lost = changes(home)
        assert all(lost[ts] == 0 for ts in filled(AUTUMN + 2 * DAY).readings)


async def test_a_file_that_changed_while_home_assistant_stored_it_was_waited_for(tmp_path: Path) -> None:
    """Bug: for ten minutes, because what is in the file now was expected, not what was sent."""
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN, without=[23])])
    async with HomeAssistantServer() as home:
        home.queue_s = 5.0
        sending = asyncio.create_task(sent(home, grid(tmp_path)))
        while len(home.imports) < 3:
            await asyncio.sleep(0.01)
        store(tmp_path / "grid", [filled(AUTUMN)])
        async with asyncio.timeout(30):
            assert await sending == 23 + 24
        assert await sent(home, grid(tmp_path)) == 2  # the new hour, and the one after it
        assert_has_all(home, tmp_path / "grid")


async def test_check_finds_what_is_missing_what_differs_and_what_only_home_assistant_has(
    tmp_path: Path,
) -> None:
    store(tmp_path / "grid", [filled(SPRING), filled(AUTUMN), filled(AUTUMN + DAY)])
    files = grid(tmp_path)
    async with HomeAssistantServer() as home:
        await sent(home, files)

        async def check() -> list[Difference]:
            return await differences(home, files)

        assert await check() == []
        first = filled(AUTUMN).day.start
        flip(tmp_path / "grid" / f"{AUTUMN}.jsonl", "import")
        found = await check()
        assert [(each.statistic, each.missing, each.extra) for each in found] == [
            ("shelly_collector:grid_import", 0, 0)
        ]
        assert found[0].first >= first
        await sent(home, files)
        (tmp_path / "grid" / f"{AUTUMN + DAY}.jsonl").unlink()
        assert [(each.missing, each.other) for each in await check()] == [(0, 0)] * 3
        assert all(each.extra >= 23 for each in await check())  # an hour without solar has an equal sum
        store(tmp_path / "grid", [filled(AUTUMN + DAY), filled(AUTUMN + 2 * DAY)])
        assert [(each.missing, each.other, each.extra) for each in await check()] == [(24, 0, 0)] * 3


async def test_three_thousand_hours_come_in_messages_that_home_assistant_takes(tmp_path: Path) -> None:
    """Its limit is 4 MB, and 2,500 rows were tried with real ones."""
    store(tmp_path / "grid", [filled(SPRING + number * DAY) for number in range(130)])
    async with HomeAssistantServer() as home:
        assert await sent(home, grid(tmp_path)) == 130 * 24 - 1
        assert max(len(each.starts) for each in home.imports) <= 2500
        assert_has_all(home, tmp_path / "grid")


# -- Any history ----------------------------------------------------------------------------------------

_STEPS = st.lists(
    st.tuples(
        st.dates(date(2024, 10, 28), date(2024, 11, 3)).flatmap(energy_days),
        st.sampled_from(["store", "store", "store", "remove"]),
        st.none()
        | st.builds(
            Fault,
            st.sampled_from(["close", "close_after", "error"]),
            st.integers(1, 6).map(lambda number: (number,)),
            st.none() | st.sampled_from(["recorder/import_statistics", "recorder/statistics_during_period"]),
        ),
        st.sampled_from(["as it was", "as it was", "killed", "emptied", "record lost"]),
    ),
    max_size=6,
)


@given(_STEPS, st.booleans())
@settings(max_examples=25, deadline=None)
def test_whatever_happened_before_one_pass_without_a_fault_makes_all_totals_exact(
    steps: Any, is_settled: bool
) -> None:
    """Days are stored, corrected and removed, commands fail, Home Assistant is killed or emptied."""
    with tempfile.TemporaryDirectory() as place, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(_history(Path(place), steps, is_settled=is_settled))


async def _history(place: Path, steps: Any, *, is_settled: bool) -> None:
    """`is_settled`: Home Assistant has stored what an attempt left in its queue before the next one begins,
    for which the service waits a minute. Else hours may come that are no longer stored, and were not seen.
    """
    files = grid(place)
    home = HomeAssistantServer()
    home.queue_s = 1.0
    async with home:
        for day, what, fault, then in steps:
            if what == "remove":
                (files.folder / f"{day.day.date}.jsonl").unlink(missing_ok=True)
            else:
                store(files.folder, [day])
            home.faults = [] if fault is None else [fault]
            with suppress(PublishError):
                await sent(home, files)
            await asyncio.sleep(2 * home.queue_s if is_settled else 0)
            if then == "killed":
                await home.kill()
                await home.start()
            elif then == "emptied":
                home._statistics.clear()
            elif then == "record lost":
                (files.folder / ".collector/publish-ha.json").unlink(missing_ok=True)
        home.faults = []
        store(files.folder, [filled(date(2024, 11, 4))])
        await sent(home, files)
        found, energy = await differences(home, files), changes(home)
    assert [each for each in found if each.missing or each.other] == []
    assert not is_settled or min(energy.values()) >= 0
