"""The fixed list of scenarios, each in a few lines: what is configured, what the cloud does, what happens."""

from __future__ import annotations

import errno
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.record.product import Account, Device, Fault, Hole, Limit, Revision, Scenario, Shrink
from tests.record.stage import CLOUD, PAGE, PINGS, Life, Script, Stage, settle

KEY, NEW_KEY, OTHER_KEY = "SIMULATED0KEY0OF0THE0RECORD", "ANOTHER0KEY0OF0THE0RECORD", "A0SECOND0ACCOUNTS0KEY"
HOUSE, BARN, GRID, SOLAR = "e8db84d2a1b3", "a1b2c3", "34987a45c1d0", "34987a45c1d1"
IN_MAY, IN_DECEMBER = datetime(2026, 5, 20, 14, 5, tzinfo=UTC), datetime(2025, 12, 1, 9, 30, tzinfo=UTC)
START = datetime(2026, 3, 20, 14, 5, tzinfo=UTC)
TODAY = START.date()

_LOG = f'[log]\nformat = "json"\nlevel = "debug"\n[web]\nlisten = {PAGE}\n'
_SHALLOW = "[schedule]\nbackfill_days = 4\n"
_3EM_PAIR = f'kind = "3em"\npv_id = "{SOLAR}"'
_LATE = Device(HOUSE, late_minutes=8)

SCENARIOS: dict[str, Callable[[Path, int], None]] = {}


def record(name: str, folder: Path, seed: int, without_words: bool) -> float:
    """Plays one scenario into the folder; gives the seconds that it took."""
    began = time.perf_counter()
    SCENARIOS[name](folder, seed)
    settle(folder, without_words=without_words)
    return time.perf_counter() - began


def _add(name: str, act: Callable[[Stage], None], start: datetime, cloud: Scenario) -> None:
    def play(folder: Path, seed: int) -> None:
        stage = Stage(name, folder, seed, start, replace(cloud, seed=seed))
        act(stage)
        stage.finish()

    SCENARIOS[name] = play


# -- What is configured, and what the cloud has ---------------------------------------------------------


def _cloud(*devices: Device, limit: Limit | None = None, key: str = KEY, **options: Any) -> Scenario:
    """A cloud with one account; its meter has two clamps unless devices are named."""
    home = Account("home", key, devices or (_LATE,), limit or Limit("lax"))
    return Scenario(account=(home,), latency_s=0.2, jitter_s=0.3, **options)


def _meter(name: str = "house", device: str = HOUSE, more: str = "") -> str:
    return f'[[account.meter]]\nname = "{name}"\nid = "{device}"\n{more}\n'


def _account(*meters: str, name: str = "home", key: str = KEY) -> str:
    head = f'[[account]]\nname = "{name}"\nhost = "http://127.0.0.1:{CLOUD}"\nauth_key = "{key}"\n'
    return head + "".join(meters or (_meter(),))


def _days(first: int, last: int | None = None) -> tuple[date, ...]:
    """The days that are so many before START."""
    return tuple(TODAY - timedelta(days=each) for each in range(first, (last or first) + 1))


def _for(**span: float) -> Script:
    """A service that is left alone for so long, and then looked at."""

    async def script(life: Life) -> None:
        await life.pass_time(**span)
        await life.look()

    return script


def _examine(stage: Stage) -> None:
    """All commands that look."""
    stage.here("status", "--json")
    stage.here("status")
    stage.here("verify", "--json")
    stage.here("doctor", "--json")


# -- Backfills ------------------------------------------------------------------------------------------


def _backfill(*meters: str, days: int = 120, archive: str = "") -> Callable[[Stage], None]:
    def act(stage: Stage) -> None:
        stage.configure(archive + _LOG + _account(*meters))
        stage.here("backfill", "--days", str(days), "--dry-run", "--json")
        for _ in range(2):
            stage.here("backfill", "--days", str(days), "--json", "--verbose")
        _examine(stage)

    return act


for _season, _start in (("spring", IN_MAY), ("autumn", IN_DECEMBER)):
    _add(f"backfill_em_{_season}", _backfill(), _start, _cloud())
    _add(f"backfill_no_solar_{_season}", _backfill(_meter(more="solar = false")), _start, _cloud())
    _add(
        f"backfill_3em_{_season}",
        _backfill(_meter(device=GRID, more=_3EM_PAIR)),
        _start,
        _cloud(Device(GRID, kind="3em"), Device(SOLAR, kind="3em", counts="solar")),
    )
    _add(
        f"backfill_odd_{_season}",
        _backfill(
            _meter(more="grid_scale_factor = 2.5\npv_kwh_discard = 0.004"),
            _meter("barn", BARN, "grid_channel = 1\nsolar_channel = 0"),
            _meter("shed", GRID, 'kind = "3em"'),
            _meter("island", SOLAR),
            days=70,
            archive='decimals = 5\nrepeated_hour = "merge"\n',
        ),
        _start,
        _cloud(
            Device(HOUSE, spring="nulls", autumn="fat", gaps="nulls", tariffs=2, tariff_zero="rest"),
            Device(BARN, timezone="America/New_York", spring="absent", stamps="utc", future="absent"),
            Device(GRID, kind="3em", spring="zeros", under_way="partial", sum_of_gaps="missing"),
            Device(SOLAR, timezone="Australia/Lord_Howe", gaps="absent"),
        ),
    )


def _beginning(stage: Stage) -> None:
    """The meter is younger than the days that are asked for; flags instead of a file."""
    words = ("--host", f"http://127.0.0.1:{CLOUD}", "--id", HOUSE, "--auth_key", KEY)
    stage.command("backfill", *words, "--odir", str(stage.archive), "--days", "200", "--json")
    stage.command("verify", "--odir", str(stage.archive), "--json")
    stage.configure(_LOG + _account())
    stage.here("backfill", "--since", str(TODAY - timedelta(days=90)), "--json", "--verbose")


_add(
    "beginning",
    _beginning,
    START,
    _cloud(Device(HOUSE, installed_since=TODAY - timedelta(days=60), before_install="missing")),
)


def _failing_backfills(stage: Stage) -> None:
    """Each ends in its own way."""
    stage.configure(_LOG + _account(key=OTHER_KEY))
    stage.here("backfill", "--days", "3", "--json")  # the key is refused
    stage.configure(_LOG + _account(_meter(device=BARN)))
    stage.here("backfill", "--days", "3", "--json")  # no such device
    stage.here("doctor", "--json")
    stage.configure(_LOG + _account(_meter(more='kind = "3em"')))
    stage.here("backfill", "--days", "3", "--json")  # another kind
    stage.here("doctor", "--json")
    stage.configure(_LOG + _account())
    good = stage.cloud
    for kind in ("status_503", "unexplained_401", "forbidden_403", "truncated_json", "redirect_302"):
        stage.cloud = replace(good, fault=(Fault(kind),))
        stage.here("backfill", "--days", "3", "--json", "--verbose")
        stage.here("doctor", "--json")
    stage.cloud = good
    stage.configure("nonsense = 1\n[retry]\nattempts = 0\n" + _account())
    stage.here("backfill")
    stage.here("config", "check")
    stage.configure(_LOG + _account())
    stage.here("config", "check")
    stage.here("config", "show")

    async def beside_a_service(life: Life) -> None:
        await life.pass_time(minutes=3)
        for words in (("backfill", "--days", "3"), ("verify", "--fix"), ("verify", "--cloud"), ("doctor",)):
            life.here(*words)
        life.here("run")

    stage.run(beside_a_service)


_add("failing_backfills", _failing_backfills, START, _cloud())

_WRONG_ANSWERS = (
    "isok_false", "wrong_types", "boolean", "negative", "nan", "infinity", "huge_exponent", "absurd_value",
    "bad_utf8", "bom", "nul_bytes", "truncated_json", "duplicate_keys", "other_day", "reordered", "shuffled",
    "future_data", "missing_rows", "extra_row", "doubled_row", "conflicting_row", "ragged", "sum_off",
    "extra_keys", "unknown_zone", "wrong_zone", "no_zone", "wrong_interval", "no_interval", "no_history",
    "null_history", "object_history", "null_rows", "empty_history", "hostile_rows", "hostile_stamps",
    "spaced_out", "bare_null", "bare_list", "bare_number", "empty_body", "maintenance", "status_504",
    "bare_401", "errors_list", "errors_text", "wrong_channel", "path_gone", "truncated_body",
    "truncated_chunks", "close_before_headers", "close_in_headers", "stall_in_body", "gzip_garbage",
    "not_http",
)  # fmt: skip
"""One day each, for as long as the cloud is so."""


def _wrong_answers(stage: Stage) -> None:
    stage.configure(_LOG + _account())
    stage.here("backfill", "--days", "70", "--json", "--verbose")
    _examine(stage)
    stage.cloud = replace(stage.cloud, fault=())
    stage.configure(_LOG + "[schedule]\nbackfill_days = 70\n" + _account())
    stage.pass_time(hours=2)
    stage.run(_for(hours=30))


_add(
    "wrong_answers",
    _wrong_answers,
    START,
    _cloud(fault=tuple(Fault(kind, days=_days(2 + place)) for place, kind in enumerate(_WRONG_ANSWERS))),
)


# -- The service ----------------------------------------------------------------------------------------


def _month(stage: Stage) -> None:
    """Two accounts, one with two meters, over the change of spring."""
    hook = stage.root / "hook"
    hooked = stage.folder.resolve() / "hooked.txt"
    hook.write_text(f'#!/bin/sh\n(env | grep ^SHELLY_ | sort; echo) >> "{hooked}"\n')
    hook.chmod(0o755)
    health = f'[health]\nping_url = "http://127.0.0.1:{PINGS}/ping"\non_change = ["{hook}"]\n'
    barn = _account(_meter("barn", GRID, _3EM_PAIR), name="barn", key=OTHER_KEY)
    stage.configure(
        _LOG + health + "[schedule]\nbackfill_days = 6\n" + _account(_meter(), _meter("shed", BARN)) + barn
    )

    async def script(life: Life) -> None:
        await life.pass_time(minutes=1)
        await life.look()
        for number in range(31):
            life.loop.down = {PINGS} if number == 9 else set()
            await life.pass_time(days=1)
            await life.look()

    stage.run(script)
    _examine(stage)


_add(
    "month",
    _month,
    START,
    Scenario(
        account=(
            Account(
                "home",
                KEY,
                (
                    Device(
                        HOUSE,
                        late_minutes=8,
                        hole=(
                            Hole(
                                date(2026, 3, 23),
                                date(2026, 3, 25),
                                heals_at=datetime(2026, 3, 26, 5, tzinfo=UTC),
                            ),
                            Hole(datetime(2026, 4, 2, 10), datetime(2026, 4, 2, 16), channel=1),
                        ),
                        revision=(
                            Revision(datetime(2026, 3, 27, tzinfo=UTC), date(2026, 3, 26), date(2026, 3, 27)),
                            Revision(datetime(2026, 4, 9, tzinfo=UTC), date(2026, 3, 30), date(2026, 4, 1)),
                        ),
                    ),
                    Device(BARN, timezone="America/New_York", late_minutes=20),
                ),
            ),
            Account(
                "barn",
                OTHER_KEY,
                (Device(GRID, kind="3em"), Device(SOLAR, kind="3em", counts="solar")),
                Limit("strict", 1.0),
            ),
        ),
        fault=(
            Fault("status_500", every=17),
            Fault("reset_before_headers", every=41),
        ),
        latency_s=0.3,
        jitter_s=0.4,
    ),
)

_OUTAGES: tuple[tuple[str, str | None], ...] = (
    ("status_502", None), ("maintenance", None), ("stall", None), ("too_many_requests", None),
    ("too_many_requests", "600"), ("too_many_requests", "Sat, 21 Mar 2026 23:00:00 GMT"), ("max_req", None),
    ("status_503", "1800"), ("reset_before_headers", None), ("reset_after_headers", None),
    ("slow_body", None),
    ("truncated_json", None), ("unexplained_401", None), ("device_not_found", None), ("forbidden_403", None),
    ("path_gone", None), ("redirect_302", None), ("stall_after_headers", None), ("close_after_answer", None),
    ("echoed_key", None), ("invalid_token", None), ("bad_key", None),
)  # fmt: skip
_OUTAGE, _PAUSE = timedelta(hours=3), timedelta(hours=3)


def _outages(stage: Stage) -> None:
    """One after the other, each of three hours; then nothing can be connected to."""
    stage.configure(_LOG + _SHALLOW + _account())

    async def script(life: Life) -> None:
        await life.pass_time(hours=2)
        for _ in _OUTAGES:
            await life.pass_time(hours=2)
            await life.look()
            await life.pass_time(hours=4)
        life.here("status", "--json")
        life.loop.down.add(CLOUD)
        await life.pass_time(hours=5)
        await life.look()
        life.loop.down.clear()
        await life.pass_time(hours=1)
        await life.look()

    stage.run(script)


_add(
    "outages",
    _outages,
    START,
    _cloud(
        fault=tuple(
            Fault(kind, since=began, until=began + _OUTAGE, retry_after=retry_after)
            for place, (kind, retry_after) in enumerate(_OUTAGES)
            for began in [START + timedelta(hours=2) + place * (_OUTAGE + _PAUSE)]
        )
    ),
)
for _name, _limit in (
    ("limit_strict", Limit("strict", 1.5)),
    ("limit_429", Limit("strict", 2.5, "429", "7")),
    ("limit_slow", Limit("lax", 4.0, "429")),
):
    _add(_name, _backfill(days=40), START, _cloud(limit=_limit))


def _keys(stage: Stage) -> None:
    """The key is refused; a new one is found, and the next one after a reload."""
    stage.configure(_LOG + _SHALLOW + _account())

    stage.config.chmod(0o644)  # of which the service warns

    async def script(life: Life) -> None:
        await life.pass_time(hours=2)
        life.cloud.play(_cloud(key=NEW_KEY))
        await life.pass_time(hours=5)
        await life.look()
        life.here("doctor", "--json")
        stage.configure(_LOG + _SHALLOW + _account(key=NEW_KEY))
        await life.pass_time(hours=1)
        await life.look()
        life.cloud.play(_cloud(key=OTHER_KEY))
        await life.pass_time(hours=5)
        stage.configure(_LOG + _SHALLOW + _account(key=OTHER_KEY))
        life.reload()
        await life.pass_time(minutes=5)
        await life.look()

    stage.run(script)


_add("keys", _keys, START, _cloud())


def _late_data(stage: Stage) -> None:
    """Two days offline and then there; holes that stay; days that shrink; an hour that is revised late."""
    hook = '[health]\non_change = ["/bin/false"]\nmax_age_h = 20\n'
    stage.configure(_LOG + hook + "[schedule]\nbackfill_days = 12\n" + _account())

    async def script(life: Life) -> None:
        for _ in range(10):
            await life.pass_time(hours=20)
            await life.look()

    stage.run(script)
    _examine(stage)


_add(
    "late_data",
    _late_data,
    START,
    _cloud(
        Device(
            HOUSE,
            hole=(
                Hole(date(2026, 3, 21), date(2026, 3, 23), heals_at=datetime(2026, 3, 23, 9, tzinfo=UTC)),
                Hole(datetime(2026, 3, 10, 5), datetime(2026, 3, 10, 9)),
                Hole(date(2026, 3, 12), date(2026, 3, 13)),
                Hole(datetime(2026, 3, 14, 5), datetime(2026, 3, 14, 9), channel=0),
            ),
            revision=(
                Revision(
                    datetime(2026, 3, 21, 12, tzinfo=UTC), datetime(2026, 3, 20, 3), datetime(2026, 3, 20, 4)
                ),
            ),
            shrink=(Shrink(datetime(2026, 3, 24, tzinfo=UTC), date(2026, 3, 23), date(2026, 3, 25), 5),),
        )
    ),
)


def _files(stage: Stage) -> None:
    """Somebody edits, replaces, cuts and removes files; the service and `verify` see it."""
    stage.configure(_LOG + "[schedule]\nbackfill_days = 20\n" + _account())
    folder = stage.archive / "house"

    def file(number: int) -> Path:
        return folder / f"{TODAY - timedelta(days=number)}.jsonl"

    def spoil() -> None:
        file(3).write_text(file(3).read_text().replace('"import": 0.', '"import": 7.', 1))
        file(4).write_bytes(file(5).read_bytes())
        file(6).write_bytes(file(6).read_bytes()[:700])
        file(7).unlink()
        file(8).write_bytes(b"\0" * 400)
        file(9).write_text("".join(file(9).read_text().splitlines(keepends=True)[:-2]))
        if file(10).is_file():
            file(10).unlink()
            file(10).mkdir()
        (folder / "notes.txt").write_text("not ours\n")
        (folder / "2026-13-01.jsonl").write_text("{}\n")

    async def script(life: Life) -> None:
        await life.pass_time(hours=3)
        spoil()
        await life.pass_time(hours=1)
        await life.look()
        life.here("verify", "--json")
        await life.pass_time(hours=40)
        await life.look()
        life.here("verify", "--json")

    stage.run(script)
    spoil()
    stage.run(_for(hours=20))
    spoil()
    stage.here("verify")
    stage.here("verify", "--fix", "--json")
    stage.here("verify", "--json")
    stage.here("status", "--json")
    stage.run(_for(hours=20))
    for name in ("ledger.jsonl", "checksums"):
        (folder / ".collector" / name).unlink()
        stage.run(_for(hours=5))
    (folder / ".collector" / "ledger.jsonl").write_bytes(b"\xff{nonsense\n")
    shutil.rmtree(folder / ".collector" / "quarantine", ignore_errors=True)
    stage.run(_for(hours=5))
    _examine(stage)
    shutil.rmtree(folder)
    stage.run(_for(hours=5))
    _examine(stage)


_add("files", _files, START, _cloud())


def _totals(stage: Stage) -> None:
    """What the cloud says of whole days, compared with files that were edited or are old."""
    stage.configure(_LOG + _account())
    stage.here("backfill", "--days", "45", "--json")
    path = stage.archive / "house" / f"{TODAY - timedelta(days=5)}.jsonl"
    path.write_text(path.read_text().replace('"import": 0.', '"import": 3.', 1))
    stage.pass_time(days=2)
    stage.here("verify", "--cloud", "--json")
    stage.here("verify", "--cloud", "--fix", "--json")
    stage.here("verify", "--cloud")
    stage.cloud = replace(stage.cloud, fault=(Fault("status_502"),))
    stage.here("verify", "--cloud", "--json")
    _examine(stage)


_add(
    "totals",
    _totals,
    START,
    _cloud(
        Device(
            HOUSE,
            revision=(Revision(START + timedelta(days=1), date(2026, 3, 1), date(2026, 3, 4)),),
            hole=(Hole(date(2026, 2, 20), date(2026, 2, 21)),),
            hours_kept_since=date(2026, 2, 10),
        )
    ),
)


def _disk(stage: Stage) -> None:
    """Full at the beginning, full later, and broken."""
    stage.configure(_LOG + "[schedule]\nbackfill_days = 8\n" + _account())

    async def script(life: Life) -> None:
        await life.pass_time(seconds=9)
        await life.broken_disk(errno.ENOSPC, minutes=10)
        await life.look()
        await life.pass_time(hours=5)
        await life.broken_disk(errno.ENOSPC, hours=4)
        await life.look()
        await life.pass_time(hours=2)
        await life.broken_disk(errno.EIO, hours=4)
        await life.look()
        await life.pass_time(hours=2)
        await life.look()

    stage.run(script)
    _examine(stage)


_add("disk", _disk, START, _cloud())


def _restarts(stage: Stage) -> None:
    """Stopped, killed between two turns of the loop, and killed within a save."""
    stage.configure(_LOG + "[schedule]\nbackfill_days = 40\n" + _account(_meter(), _meter("shed", BARN)))

    def killed(**span: float) -> Script:
        async def script(life: Life) -> None:
            await life.pass_time(**span)
            life.kill()

        return script

    def killed_in_save(calls: int) -> Script:
        async def script(life: Life) -> None:
            life.die_in_save(calls)
            await life.pass_time(hours=30)

        return script

    for seconds in (0.5, 3.3, 7.9, 12.3, 21):
        stage.run(killed(seconds=seconds))
        stage.pass_time(seconds=5)
        stage.run(_for(seconds=seconds))
    for calls in (0, 1, 2, 3, 5, 8, 13):
        stage.run(killed_in_save(calls))
        stage.pass_time(seconds=30)
    stage.here("verify", "--json")
    for hours in (1, 7, 30):
        stage.run(_for(hours=hours))
        stage.pass_time(hours=hours)
        stage.run(killed(hours=hours))
    _examine(stage)


_add("restarts", _restarts, START, _cloud(_LATE, Device(BARN, timezone="America/New_York")))


def _reloads(stage: Stage) -> None:
    """Good and bad configurations, also while days are under way."""
    stage.configure(_LOG + _SHALLOW + _account())

    async def script(life: Life) -> None:
        async def reload(text: str, **span: float) -> None:
            stage.configure(text)
            life.reload()
            await life.pass_time(**(span or {"minutes": 5}))
            await life.look()

        await life.pass_time(seconds=4)
        await reload(_LOG + _SHALLOW + _account(_meter(), _meter("shed", BARN)), seconds=2)
        await reload(_LOG + _SHALLOW + _account(_meter(), _meter("shed", BARN)), hours=2)
        await reload("this is no TOML")
        await reload(_LOG + "[schedule]\nrefresh_minute = 99\nunknown = 1\n" + _account())
        await reload(_LOG + _SHALLOW + _account(_meter(device=BARN)))  # another meter in this folder
        await reload(_LOG + "[schedule]\nrefresh_minute = 40\nbackfill_days = 8\n" + _account(), hours=3)
        await reload('[log]\nformat = "json"\nlevel = "warning"\n' + f"[web]\nlisten = {PAGE}\n" + _account())
        await reload(_LOG + _SHALLOW + _account(_meter("renamed")), hours=2)
        await reload(_LOG.replace(str(PAGE), str(CLOUD)) + _SHALLOW + _account())  # that port is in use

    stage.run(script)
    stage.here("status", "--json")


_add("reloads", _reloads, START, _cloud(_LATE, Device(BARN, timezone="America/New_York")))


def _clocks(stage: Stage) -> None:
    """The machine's clock is wrong at the start, and set; or steps while the service runs."""
    stage.configure(_LOG + _SHALLOW + _account())
    for wrong in (
        datetime(1990, 1, 1, tzinfo=UTC) - START,
        timedelta(days=-30),
        timedelta(minutes=10),
        timedelta(days=730),
    ):
        stage.skew = wrong

        async def script(life: Life) -> None:
            await life.pass_time(hours=1)
            await life.look()
            life.here("doctor", "--json")
            life.step_clock(seconds=-stage.skew.total_seconds())
            await life.pass_time(minutes=30)
            await life.look()

        stage.run(script)
    stage.skew = timedelta(days=-200)
    stage.here("backfill", "--json")
    stage.skew = timedelta(0)

    async def steps(life: Life) -> None:
        for hours in (-1, 5, 24 * 400, -24 * 60):
            await life.pass_time(hours=2)
            life.step_clock(hours=hours)
            await life.pass_time(hours=1)
            await life.look()
            life.step_clock(hours=-hours)
        await life.pass_time(hours=3)
        await life.look()

    stage.run(steps)


_add("clocks", _clocks, START, _cloud())


def _foreign(stage: Stage) -> None:
    """Archives of another meter, of the older utility, and one that has gone."""
    stage.configure(_LOG + _account())
    stage.here("backfill", "--days", "6", "--json")
    stage.configure(_LOG + _account(_meter(device=BARN)))
    stage.here("backfill", "--days", "6", "--dry-run")
    stage.here("backfill", "--days", "6")
    stage.run(_for(hours=1))
    _examine(stage)
    stage.configure(_LOG + _account(_meter(more="solar = false")))
    stage.run(_for(hours=1))
    stage.here("backfill", "--days", "6", "--adopt", "--json", "--verbose")
    stage.configure(_LOG + "[schedule]\nbackfill_days = 10\n" + _account())
    stage.here("backfill", "--days", "8", "--adopt", "--json", "--verbose")
    folder = stage.archive / "house"
    shutil.rmtree(folder / ".collector")  # as the older utility leaves it
    for path in sorted(folder.glob("*.jsonl"))[:3]:
        records = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text(
            "".join(json.dumps({**each, "import": each["import"] + 1}) + "\n" for each in records)
        )
    _examine(stage)
    stage.here("backfill", "--days", "8", "--json", "--verbose")
    stage.run(_for(hours=30))
    stage.run(_for(hours=1))
    _examine(stage)
    stage.archive.rename(stage.root / "elsewhere")
    stage.run(_for(hours=1))
    _examine(stage)


_add("foreign", _foreign, START, _cloud(_LATE, Device(BARN)))


def _zones(stage: Stage) -> None:
    """A zone by rules that do not hold, one that nobody knows, and a meter that moves; then all is well."""
    stage.configure(
        _LOG
        + "[schedule]\nbackfill_days = 16\n"
        + _account(_meter(), _meter("mars", BARN), _meter("moving", SOLAR))
    )

    async def script(life: Life) -> None:
        await life.pass_time(hours=30)
        await life.look()
        life.here("verify", "--json")
        life.here("doctor", "--json")
        life.cloud.play(
            _cloud(Device(HOUSE, timezone="Etc/GMT+6"), Device(BARN), Device(SOLAR, timezone="Asia/Tokyo"))
        )
        await life.pass_time(hours=50)
        await life.look()

    stage.run(script)
    _examine(stage)


_add(
    "zones",
    _zones,
    START,
    _cloud(
        Device(HOUSE, timezone="Etc/GMT+6", says_timezone="America/Chicago"),
        Device(BARN, says_timezone="Mars/Olympus_Mons"),
        Device(SOLAR),
    ),
)


def _three_years(stage: Stage) -> None:
    """All that the cloud keeps, with days that it does not have and will forget."""
    stage.configure(_LOG + _account(_meter(more="solar = false")))
    stage.run(_for(days=9))
    _examine(stage)


_add(
    "three_years",
    _three_years,
    START,
    _cloud(Device(HOUSE, hole=(Hole(datetime(2023, 3, 24, 3), datetime(2023, 3, 28, 5)),))),
)
