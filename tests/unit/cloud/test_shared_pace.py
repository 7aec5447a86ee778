"""SharedPace: processes that share a key keep one pace, and none depends on the others being well."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cloud.pacing import Pace, Pacer, Pacing
from collector.cloud.shared_pace import SharedPace, Unshared
from collector.errors import CalledOff, CollectorError, RateLimited, Unavailable
from tests.support.virtual_time import VirtualTimeLoop

URL, KEY = "https://shelly-0-eu.shelly.cloud", "SIMULATED0KEY0OF0THE0TESTS"
TIMEOUT_S = 30.0


def _now() -> float:
    return asyncio.get_running_loop().time()


@dataclass
class _Seen:
    """One request as the cloud sees it."""

    process: _Process
    had_turn_at: float
    started_at: float
    ended_at: float = float("inf")


@dataclass
class _Cloud:
    """What all processes share: the cloud, and the folder."""

    folder: Path
    seen: list[_Seen] = field(default_factory=list)
    processes: list[_Process] = field(default_factory=list)
    first_rejection: float = float("inf")

    def process(self, pacing: Pacing | None = None, key: str = KEY) -> _Process:
        """A process that starts now."""
        return _Process(self, pacing or Pacing(), key)

    @property
    def gaps(self) -> list[float]:
        return [later.started_at - earlier.started_at for earlier, later in pairwise(self.seen)]

    @property
    def idle_gaps(self) -> list[float]:
        return [later.started_at - earlier.ended_at for earlier, later in pairwise(self.seen)]

    def order(self) -> list[_Process]:
        return [each.process for each in self.seen]


class _Process:
    """A process of its own: nothing of it is known to others but what is in the file."""

    def __init__(self, cloud: _Cloud, pacing: Pacing, key: str) -> None:
        inexact_s = 1e-5 * len(cloud.processes)  # it reads two clocks one after the other
        cloud.processes.append(self)
        self.is_killed = False
        self.unshared: list[Unshared] = []
        self.shared = SharedPace(
            cloud.folder, URL, key,
            timeout_s=TIMEOUT_S, on_unshared=self.unshared.append, clock=lambda: 5000.0 + inexact_s + _now(),
        )  # fmt: skip
        self.pacer = Pacer(Pace(pacing, self.shared))
        self.tasks: list[asyncio.Task[None]] = []
        self._cloud = cloud

    async def ask(
        self,
        duration_s: float = 0.0,
        error: CollectorError | None = None,
        connect_s: float = 0.0,
        *,
        continues: bool = False,
        urgent: bool = False,
    ) -> None:
        """One request that takes so long to leave and to be answered; a rejection does not come out."""
        with suppress(CollectorError):
            async with self.pacer.turn(continues=continues, urgent=urgent) as turn:
                await asyncio.sleep(connect_s)
                turn.sent()
                seen = _Seen(self, turn.started_at, _now())
                self._cloud.seen.append(seen)
                try:
                    await asyncio.sleep(duration_s)
                finally:
                    seen.ended_at = _now()
                if isinstance(error, RateLimited) and not self.is_killed:
                    self._cloud.first_rejection = min(self._cloud.first_rejection, _now())
                if error is not None:
                    raise error

    async def ask_often(self, times: int, duration_s: float = 0.0) -> None:
        """One request after the other."""
        for _ in range(times):
            await self.ask(duration_s)

    def start(self, what: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Does that until it is killed."""
        self.tasks.append(asyncio.create_task(what))
        return self.tasks[-1]

    def kill(self) -> None:
        """It ends without a word to the others."""
        self.is_killed = True
        self.shared.close()
        self.shared._not_again_before = float("inf")
        for task in self.tasks:
            task.cancel()


@pytest.fixture
def cloud(tmp_path: Path) -> _Cloud:
    return _Cloud(tmp_path)


async def test_two_processes_keep_the_gap_together_and_lose_no_time(cloud: _Cloud) -> None:
    """Neither is slower than it must be, and neither comes off worse."""
    one, two = cloud.process(), cloud.process()
    await asyncio.gather(one.ask_often(10), two.ask_often(10))
    assert cloud.gaps == pytest.approx([1.05] * 19, abs=1e-3)
    assert all(earlier is not later for earlier, later in pairwise(cloud.order()))


async def test_three_processes_take_turns_also_where_one_of_them_has_many_requests_at_once(
    cloud: _Cloud,
) -> None:
    """Who has waited longest is next."""
    greedy, *others = (cloud.process() for _ in range(3))
    await asyncio.gather(*(greedy.ask(0.5) for _ in range(12)), *(each.ask_often(4, 0.3) for each in others))
    assert all(len(set(cloud.order()[start : start + 3])) == 3 for start in range(0, 12, 3))
    assert cloud.gaps == pytest.approx([1.05] * 19, abs=1e-3)


async def test_a_process_that_begins_finds_the_gap_of_the_others(cloud: _Cloud) -> None:
    """Whenever it comes."""
    one = cloud.process()
    asked = asyncio.create_task(one.ask_often(20))
    for wait_s in (2.3, 0.7, 3.1):
        await asyncio.sleep(wait_s)
        await cloud.process().ask()
    await asked
    assert min(cloud.gaps) == pytest.approx(1.05, abs=1e-3)


async def test_other_keys_and_hosts_do_not_wait_for_each_other(cloud: _Cloud) -> None:
    """Each has a second of its own."""
    await asyncio.gather(cloud.process().ask(), cloud.process(key=f"ANOTHER{KEY}").ask())
    assert cloud.gaps == [0]
    assert len(list(cloud.folder.iterdir())) == 2


async def test_nobody_learns_the_key_from_the_files(cloud: _Cloud) -> None:
    """Neither from their names, nor from what is in them; and only the group may open them."""
    await cloud.process().ask()
    (file,) = cloud.folder.iterdir()
    assert KEY.lower() not in (file.name + file.read_text()).lower()
    assert file.stat().st_mode & 0o777 == 0o660


async def test_a_request_that_has_not_left_yet_keeps_the_others_waiting(cloud: _Cloud) -> None:
    """It could be overtaken on the way, or arrive together with theirs."""
    one, two = cloud.process(), cloud.process()
    await asyncio.gather(one.ask(connect_s=7.3), two.ask())
    assert cloud.order() == [one, two]
    assert cloud.gaps == pytest.approx([1.008], abs=1e-3)


async def test_no_more_than_the_cap_are_under_way_in_all_processes_together(cloud: _Cloud) -> None:
    """A cloud that has become slow is not buried in requests."""
    processes = [cloud.process(Pacing(1.0, 4)) for _ in range(3)]
    await asyncio.gather(*(each.ask(20) for each in processes for _ in range(3)))
    for seen in cloud.seen:
        assert sum(each.started_at <= seen.started_at < each.ended_at for each in cloud.seen) <= 4
    assert cloud.seen[4].started_at == pytest.approx(cloud.seen[0].ended_at, abs=0.3)


async def test_a_hold_holds_all_processes(cloud: _Cloud) -> None:
    """Also those that wait already, those that begin, and what they say of it."""
    one, two = cloud.process(), cloud.process()
    waiting = asyncio.create_task(two.ask_often(2))
    await one.ask(error=RateLimited("too fast", 40))
    await asyncio.sleep(3)
    three = cloud.process()
    await asyncio.gather(waiting, three.ask())
    rejected = cloud.seen[[each.process for each in cloud.seen].index(one)]
    later = [each.started_at for each in cloud.seen if each.started_at > rejected.started_at]
    assert min(later) == pytest.approx(rejected.ended_at + 40)
    assert three.pacer.held_until == pytest.approx(rejected.ended_at + 40)


async def test_a_hold_of_another_process_is_known_before_it_is_over(cloud: _Cloud) -> None:
    """A backfill by hand says so, instead of waiting for an hour."""
    one, two = cloud.process(), cloud.process()
    await one.ask(error=RateLimited("too fast", 3000))
    began = _now()
    with pytest.raises(CalledOff):
        async with two.pacer.turn(lambda: two.pacer.hold_s > 900):
            raise AssertionError("it has begun")
    assert _now() - began <= 1.05


async def test_a_rejection_teaches_all_processes(cloud: _Cloud) -> None:
    """One at a time, the gap from the end of the last answer, and a gap that has grown."""
    one, two = cloud.process(), cloud.process()
    for _ in range(3):
        await one.ask(error=RateLimited("too fast"))
    await asyncio.gather(one.ask_often(4, 2.5), two.ask_often(4, 2.5), two.ask_often(4, 0.2))
    assert two.pacer.serial
    assert two.pacer.gap_s == one.pacer.gap_s == pytest.approx(1.05 * 1.25**2)
    assert cloud.idle_gaps[3:] == pytest.approx([1.05 * 1.25**2] * 11, abs=1e-3)
    assert {*cloud.order()[3:]} == {one, two}


async def test_what_was_under_way_in_another_process_at_the_rejection_is_waited_for(cloud: _Cloud) -> None:
    """And the gap counts from its end, though that process learns only then that it does."""
    one, two = cloud.process(), cloud.process()
    slow = asyncio.create_task(two.ask(20))
    await asyncio.sleep(1.5)
    await one.ask(error=RateLimited("too fast"))
    await one.ask()
    await slow
    assert cloud.seen[-1].started_at == pytest.approx(1.05 + 20 + 1.05, abs=1e-3)


async def test_rejections_of_one_moment_in_several_processes_count_once(cloud: _Cloud) -> None:
    """They overlapped; further ones count on, whoever meets them, until any process has a success."""
    one, two = cloud.process(), cloud.process()
    rejected = RateLimited("too fast")
    await asyncio.gather(one.ask(3, rejected), two.ask(3, rejected))
    assert one.pacer.gap_s == two.pacer.gap_s == 1.05
    assert one.pacer.holds + two.pacer.holds == 1
    await one.ask(error=rejected)
    await two.ask(error=rejected)
    assert cloud.gaps[-1] == pytest.approx(3.0, abs=1e-3)
    await one.ask()
    assert cloud.gaps[-1] == pytest.approx(6.0, abs=1e-3)
    await two.ask(error=rejected)
    assert two.pacer.hold_s == pytest.approx(1.5)
    await one.ask()
    assert one.pacer.gap_s == pytest.approx(1.05 * 1.25**3)


async def test_what_was_learned_is_forgotten_with_the_last_process(cloud: _Cloud) -> None:
    """A restart has always been the way to try again; the hold in force is respected."""
    one = cloud.process()
    for _ in range(3):
        await one.ask(error=RateLimited("too fast"))
    two = cloud.process()
    await two.ask()
    one.kill()
    two.kill()
    three = cloud.process()
    await three.ask(error=RateLimited("too fast"))
    assert three.pacer.gap_s == 1.05
    await three.ask(error=RateLimited("too fast", 100))
    three.kill()
    four = cloud.process()
    asked = asyncio.create_task(four.ask())
    await asyncio.sleep(1)
    assert four.pacer.hold_s == pytest.approx(101.5, abs=1e-3)  # since the first of two rejections
    await asked
    assert not four.pacer.serial
    assert cloud.gaps[-1] == pytest.approx(100, abs=1e-3)
    four.kill()
    for _ in range(2):
        another = cloud.process()
        await another.ask(error=RateLimited("too fast"))
        assert another.pacer.hold_s == pytest.approx(1.5)
        another.kill()
        await asyncio.sleep(1.6)


async def test_a_longer_interval_of_one_process_is_its_own(cloud: _Cloud) -> None:
    """It is no lesson for others, and who is not due yet keeps nobody waiting."""
    slow, one = cloud.process(Pacing(8.0)), cloud.process()
    await asyncio.gather(slow.ask(), one.ask_often(12))
    assert [each.started_at for each in cloud.seen][:7] == pytest.approx(
        [1.05 * number for number in range(1, 8)], abs=1e-3
    )
    assert one.pacer.gap_s == 1.05


async def test_a_refresh_goes_first(cloud: _Cloud) -> None:
    """However many requests of another process wait, and since when."""
    service, backfill = cloud.process(), cloud.process()
    busy = [asyncio.create_task(backfill.ask(0.3)) for _ in range(8)]
    await asyncio.sleep(3.5)
    before = len(cloud.seen)
    await service.ask(0.3, urgent=True)
    await service.ask(0.3, urgent=True)
    assert cloud.order()[before:] == [service, service]
    await asyncio.gather(*busy)
    assert cloud.gaps == pytest.approx([1.05] * 9, abs=1e-3)


async def test_a_refresh_goes_first_with_what_its_process_has_before_it(cloud: _Cloud) -> None:
    """Within a process the order stays."""
    service, backfill = cloud.process(), cloud.process()
    tasks = [asyncio.create_task(each.ask()) for each in (backfill, service, backfill, service)]
    await asyncio.sleep(0.5)
    await service.ask(urgent=True)
    assert cloud.order() == [service, service, service]
    await asyncio.gather(*tasks)


async def test_a_waiter_that_is_cancelled_holds_no_other_process_up(cloud: _Cloud) -> None:
    """It was next."""
    one, two = cloud.process(), cloud.process()
    waiter = asyncio.create_task(one.ask(urgent=True))
    behind = asyncio.create_task(two.ask())
    await asyncio.sleep(0.5)
    waiter.cancel()
    await behind
    assert _now() == pytest.approx(1.05)


@pytest.mark.parametrize("what", ["waits", "connects", "is answered"])
async def test_a_killed_process_holds_nobody_up_longer_than_its_request_could_last(
    cloud: _Cloud, what: str
) -> None:
    """In all that it can be at."""
    one, two = cloud.process(), cloud.process()
    await one.ask(error=RateLimited("too fast"))
    killed = cloud.process()
    killed.start(killed.ask(20, connect_s=9, urgent=True))
    asked = asyncio.create_task(two.ask_often(3))
    wait_s, delay_s = {"waits": (0.5, 0.6), "connects": (5.0, TIMEOUT_S), "is answered": (15.0, TIMEOUT_S)}[
        what
    ]
    began = _now()
    await asyncio.sleep(wait_s)
    killed.kill()
    await asked
    assert _now() - began <= 1.5 + delay_s + 3 * 1.05 + 1.1
    assert min(cloud.idle_gaps[-2:]) >= 1.04


async def test_the_requests_of_a_killed_process_are_forgotten_by_the_next_one_if_nobody_else_is_there(
    cloud: _Cloud,
) -> None:
    """A service that was killed and is started again need not wait for itself."""
    killed = cloud.process()
    await killed.ask(error=RateLimited("too fast"))
    killed.start(killed.ask(25))
    await asyncio.sleep(3)
    killed.kill()
    began = _now()
    await cloud.process().ask()
    assert _now() - began == pytest.approx(1.05)


def _hostile(name: str, file: Path) -> None:
    file.unlink()
    match name:
        case "a folder":
            file.mkdir()
        case "a fifo":
            os.mkfifo(file)
        case "a link":
            file.with_name("elsewhere").write_bytes(b"precious")
            file.symlink_to("elsewhere")
        case "a second name":
            file.with_name("elsewhere").write_bytes(b"precious")
            file.hardlink_to(file.with_name("elsewhere"))
        case "a device":
            file.symlink_to("/dev/full")
        case _:
            file.write_bytes(_DAMAGED[name])


_WHOLE = (
    b'{"format":1,"not_before":5001.5,"held_until":5001.5,"rejected_at":5000.0,"rejected_since":5000.0,'
    b'"rejections_in_a_row":1,"gap_s":1.3125,"serial":true,"sending":{"0a1b2c3d4e5f":[[5030.5,false]]},'
    b'"waiting":{"0a1b2c3d4e5f":[7,5001.5,5001.5,false]},"tickets":7}\n'
)
_DAMAGED = {
    "a moment that is no number": _WHOLE.replace(b"5001.5", b"NaN", 1),
    "a hold since never": _WHOLE.replace(b'"rejected_since":5000.0', b'"rejected_since":null'),
    "a gap of years": _WHOLE.replace(b"1.3125", b"1e9"),
    "NUL": bytes(4096),
    "no line": b'{"format":1',
    "long": b" " * 100_000 + b"\n",
    "deep": b"[" * 15_000 + b"\n",
    "digits": b"9" * 15_000 + b"\n",
    "list": b"[]\n",
    "another format": b'{"format":2}\n',
    "no moments": b'{"format":1}\n',
    "not JSON": b"\xff\xfe\n",
}


@pytest.mark.parametrize("name", [*_DAMAGED, "a folder", "a fifo", "a link", "a second name", "a device"])
async def test_what_cannot_be_shared_costs_one_report_and_no_request(cloud: _Cloud, name: str) -> None:
    """While another process has it too, so that it cannot be begun anew. And nothing else is written to."""
    one = cloud.process()
    await one.ask()
    (file,) = cloud.folder.iterdir()
    other = file.open("rb")
    _hostile(name, file)
    if name in _DAMAGED:
        other.close()
        other = file.open("rb")
        fcntl.flock(other, fcntl.LOCK_SH)
    began = _now()
    await one.ask_often(100)
    assert _now() - began == pytest.approx(105, abs=1)
    ((reason, is_missing),) = one.unshared
    assert file.parent.name in reason
    assert not is_missing
    if (elsewhere := file.with_name("elsewhere")).exists():
        assert elsewhere.read_bytes() == b"precious"
    other.close()


@pytest.mark.parametrize("name", _DAMAGED)
async def test_a_damaged_file_of_processes_that_have_ended_is_begun_anew(cloud: _Cloud, name: str) -> None:
    """Nobody needs it any more."""
    one = cloud.process()
    await one.ask()
    one.kill()
    (file,) = cloud.folder.iterdir()
    _hostile(name, file)
    two, three = cloud.process(), cloud.process()
    await asyncio.gather(two.ask_often(5), three.ask_often(5))
    assert not two.unshared + three.unshared
    assert min(cloud.gaps) >= 1.04


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(_WHOLE)), st.integers(0, 30), st.binary(max_size=30), st.booleans())
def test_whatever_is_in_the_file_requests_go_on(
    start: int, length: int, put: bytes, is_another_there: bool
) -> None:
    """After an hour at most: the longest hold that it may tell of."""

    async def play(folder: Path) -> None:
        cloud = _Cloud(folder)
        one = cloud.process()
        await one.ask()
        (file,) = folder.iterdir()
        one.kill()
        file.write_bytes(_WHOLE[:start] + put + _WHOLE[start + length :])
        with file.open("rb") as other:
            if is_another_there:
                fcntl.flock(other, fcntl.LOCK_SH)
            two, three = cloud.process(), cloud.process()
            await asyncio.gather(two.ask_often(3), three.ask_often(3))
        assert _now() <= 3700 + TIMEOUT_S + 6 * 60
        if not two.unshared + three.unshared:
            assert min(cloud.gaps) >= 1.04

    with tempfile.TemporaryDirectory() as place, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play(Path(place)))


async def test_a_folder_that_does_not_exist_is_no_news(tmp_path: Path) -> None:
    """On a machine without the service; one that everybody may write to is."""
    process = _Cloud(tmp_path / "nowhere").process()
    await process.ask_often(100)
    assert [each.is_missing for each in process.unshared] == [True]
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    process = _Cloud(tmp_path / "open").process()
    await process.ask_often(100)
    assert [each.is_missing for each in process.unshared] == [False]
    assert not list((tmp_path / "open").iterdir())


async def test_a_folder_that_is_made_later_is_used_from_then_on(tmp_path: Path) -> None:
    """Within a minute, also one that was removed and made again."""
    cloud = _Cloud(tmp_path / "pace")
    one, two = cloud.process(), cloud.process()
    both = [asyncio.create_task(each.ask_often(400)) for each in (one, two)]
    await asyncio.sleep(10.7)
    for _ in range(2):
        cloud.folder.mkdir()
        await asyncio.sleep(65)
        cloud.seen.clear()
        await asyncio.sleep(60)
        assert min(cloud.gaps) >= 1.04
        for file in cloud.folder.iterdir():
            file.unlink()
        cloud.folder.rmdir()
        await asyncio.sleep(65)
    for task in both:
        task.cancel()


async def test_a_file_that_is_removed_is_made_again(cloud: _Cloud) -> None:
    """And shared again by all with the next request."""
    one, two = cloud.process(), cloud.process()
    for _ in range(3):
        cloud.seen.clear()
        await asyncio.gather(one.ask_often(5), two.ask_often(5))
        assert min(cloud.gaps[2:]) >= 1.04
        for file in cloud.folder.iterdir():
            file.unlink()
    assert not one.unshared + two.unshared


async def test_who_waits_when_the_file_is_removed_keeps_its_place(cloud: _Cloud) -> None:
    """However many have been before it; those that come after begin to count anew."""
    one, two = cloud.process(), cloud.process()
    await asyncio.gather(one.ask_often(20), two.ask_often(20))
    waiting = asyncio.create_task(one.ask())
    ahead = asyncio.create_task(two.ask())
    await asyncio.sleep(0.5)
    for file in cloud.folder.iterdir():
        file.unlink()
    await asyncio.gather(waiting, ahead, cloud.process().ask_often(10))
    assert one in cloud.order()[40:43]
    assert two in cloud.order()[40:43]


async def test_more_processes_than_fit_into_the_file_are_no_harm(cloud: _Cloud) -> None:
    """Those that do not keep a pace of their own; what is in the file stays right."""
    one = cloud.process()
    await one.ask()
    (file,) = cloud.folder.iterdir()
    content = json.loads(file.read_text())
    soon = 5000 + _now() + 600
    text = ""
    while len(text) < 16 * 1024 - 50:
        content["waiting"][f"{len(text):012x}"] = [1, soon, soon, False]
        text = json.dumps(content, separators=(",", ":")) + "\n"
    file.write_text(text)
    await one.ask_often(3)
    assert [each.is_missing for each in one.unshared] == [False]
    assert len(file.read_bytes()) <= 16 * 1024
    assert json.loads(file.read_text())["waiting"].items() >= content["waiting"].items()


async def test_what_an_earlier_boot_left_is_ignored(cloud: _Cloud) -> None:
    """A clock that began anew: no hold is longer than an hour."""
    one = cloud.process()
    await one.ask(error=RateLimited("too fast", 3000))
    (file,) = cloud.folder.iterdir()
    content = json.loads(file.read_text().splitlines()[0])
    for name in ("not_before", "held_until", "rejected_at", "rejected_since"):
        content[name] += 2000
    file.write_text(json.dumps(content) + "\n")
    two = cloud.process()
    began = _now()
    await two.ask()
    assert _now() - began == pytest.approx(1.05)


async def test_a_suspended_machine_does_not_confuse_the_processes(tmp_path: Path) -> None:
    """The loop's clock stands still meanwhile, that of the boot does not."""
    cloud = _Cloud(tmp_path)
    slept_s = 0.0
    one, two = cloud.process(), cloud.process()
    for each in (one, two):
        each.shared._clock = lambda: 5000.0 + _now() + slept_s
    both = asyncio.gather(one.ask_often(10), two.ask_often(10))
    await asyncio.sleep(5.1)
    slept_s = 7000.0
    await both
    assert min(cloud.gaps) >= 1.04
    assert cloud.gaps == pytest.approx([1.05] * 19, abs=0.6)
    assert not one.unshared + two.unshared


async def test_what_happens_while_another_process_has_the_file_is_known_a_moment_later(
    cloud: _Cloud,
) -> None:
    """The ends of two requests, here: nobody waits for the lock."""
    one = cloud.process()
    asked = asyncio.gather(one.ask(5), one.ask(4.25))
    await asyncio.sleep(3)
    (file,) = cloud.folder.iterdir()
    with _keeping_the_lock(file):
        await asked
        assert json.loads(file.read_text())["sending"]
    await asyncio.sleep(0.01)
    assert not json.loads(file.read_text())["sending"]
    assert not one.unshared


_KEEPER = """
import fcntl, sys, time
file = open(sys.argv[1], "r+b")
fcntl.lockf(file, fcntl.LOCK_EX)
print("locked", flush=True)
time.sleep(60)
"""


@contextmanager
def _keeping_the_lock(file: Path) -> Iterator[None]:
    keeper = subprocess.Popen([sys.executable, "-c", _KEEPER, str(file)], stdout=subprocess.PIPE)
    try:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        yield
    finally:
        keeper.kill()
        keeper.communicate()


async def test_a_process_that_keeps_the_lock_holds_nobody_up(cloud: _Cloud) -> None:
    """It was stopped in the middle of it, or means harm: a second, and one report."""
    one = cloud.process()
    await one.ask()
    (file,) = cloud.folder.iterdir()
    with _keeping_the_lock(file):
        began = _now()
        await one.ask_often(100)
        assert _now() - began <= 110
        assert len(one.unshared) == 1
    two = cloud.process()
    await asyncio.sleep(61)
    cloud.seen.clear()
    await asyncio.gather(one.ask_often(5), two.ask_often(5))
    assert min(cloud.gaps) >= 1.04


_GROUP, _MEMBER, _OUTSIDER = 41_001, 41_002, 41_003
_as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may be another user")


@contextmanager
def _user(uid: int, *groups: int) -> Iterator[None]:
    """As that user, with the unit's umask."""
    before, mask = os.getgroups(), os.umask(0o027)
    os.setgroups(groups)
    os.setegid(uid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
        os.umask(mask)


@pytest.fixture
def shared_cloud() -> Iterator[_Cloud]:
    """A folder as systemd/shelly-collector.tmpfiles makes it."""
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place, "pace")
        folder.mkdir()
        os.chown(folder, _MEMBER, _GROUP)
        folder.chmod(0o2770)
        yield _Cloud(folder)


@_as_root
@pytest.mark.parametrize("is_root_first", [True, False])
async def test_root_and_the_group_share(shared_cloud: _Cloud, is_root_first: bool) -> None:
    """Whoever makes the file, and whatever its umask."""
    cloud = shared_cloud
    root, member, service = (cloud.process() for _ in range(3))
    if is_root_first:
        await root.ask()
    with _user(_OUTSIDER, _GROUP):
        await member.ask()
    with _user(_MEMBER, _GROUP):
        await service.ask()
    await asyncio.gather(*(each.ask_often(3) for each in cloud.processes))
    assert not [each.unshared for each in cloud.processes if each.unshared]
    assert min(cloud.gaps) >= 1.04


@_as_root
async def test_a_user_outside_of_the_group_keeps_a_pace_of_its_own(shared_cloud: _Cloud) -> None:
    """With one report, and without a delay of more than a second."""
    process = shared_cloud.process()
    with _user(_OUTSIDER):
        await process.ask_often(100)
    assert _now() <= 100 * 1.05 + 1
    assert [each.is_missing for each in process.unshared] == [False]
    assert "Permission" in process.unshared[0].reason


@pytest.mark.needs("mount", "umount")
@pytest.mark.parametrize("what", ["space", "inodes", "read-only"])
async def test_a_file_system_that_takes_nothing_costs_one_report(tmp_path: Path, what: str) -> None:
    """And once it does, the pace is shared."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k,nr_inodes=4,mode=0770", "pace", tmp_path], check=True
    )
    try:
        if what == "space":
            with suppress(OSError), (tmp_path / "full").open("wb", buffering=0) as full:
                for _ in range(100):
                    full.write(bytes(1024))
        elif what == "inodes":
            for number in range(3):
                (tmp_path / f"full{number}").touch()
        else:
            subprocess.run(["mount", "-o", "remount,ro", tmp_path], check=True)
        cloud = _Cloud(tmp_path)
        one, two = cloud.process(), cloud.process()
        await one.ask_often(100)
        assert _now() == pytest.approx(105, abs=0.1)
        assert [each.is_missing for each in one.unshared] == [False]
        if what == "read-only":
            subprocess.run(["mount", "-o", "remount,rw", tmp_path], check=True)
        for file in tmp_path.glob("full*"):
            file.unlink()
        await asyncio.sleep(61)
        cloud.seen.clear()
        await asyncio.gather(one.ask_often(5), two.ask_often(5))
        assert min(cloud.gaps) >= 1.04
        one.kill()
        two.kill()
    finally:
        subprocess.run(["umount", tmp_path], check=True)


_ENDS = {"answer": None, "rejected": RateLimited("too fast"), "outage": Unavailable("502")}
_REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 3),  # whose
        st.floats(0, 9),  # when it comes
        st.floats(0, 6),  # how long it takes to leave
        st.floats(0, 9),  # how long its answer takes
        st.sampled_from(["answer"] * 6 + ["rejected", "outage"]),
        st.none() | st.floats(0, 15),  # when it is cancelled
        st.booleans(),  # whether it goes ahead
        st.booleans(),  # whether it is urgent
    ),
    max_size=25,
)
_Request = tuple[int, float, float, float, str, float | None, bool, bool]


@settings(max_examples=100, deadline=None)
@given(_REQUESTS, st.floats(0.2, 3), st.integers(1, 5), st.lists(st.floats(0, 20), max_size=2))
def test_never_too_close_and_never_too_many(
    requests: list[_Request], gap_s: float, most: int, kills: list[float]
) -> None:
    """Whatever comes when, takes how long, fails how, is cancelled or killed where: the pace holds, and
    nobody hangs."""

    async def play(folder: Path) -> None:
        cloud = _Cloud(folder)
        processes = [cloud.process(Pacing(gap_s, most)) for _ in range(4)]
        loop = asyncio.get_running_loop()

        async def ask(whose: _Process, request: _Request) -> None:
            _, comes_s, connect_s, duration_s, ends, _, continues, urgent = request
            await asyncio.sleep(comes_s)
            await whose.ask(duration_s, _ENDS[ends], connect_s, continues=continues, urgent=urgent)

        for request in requests:
            whose = processes[request[0]]
            task = whose.start(ask(whose, request))
            if request[5] is not None:
                loop.call_later(request[5], task.cancel)
        for process, kill_s in zip(processes, kills, strict=False):
            loop.call_later(kill_s, process.kill)
        if tasks := [task for each in processes for task in each.tasks]:
            await asyncio.wait(tasks)
        await asyncio.sleep(max(kills, default=0))
        began, hold_s = _now(), max(each.pacer.held_until for each in processes) - _now()
        await processes[3].ask()
        assert _now() - began <= max(hold_s, 0) + TIMEOUT_S + 8 * gap_s + 1
        almost = gap_s * 0.96 - 1e-4
        assert all(gap >= almost for gap in cloud.gaps)
        for seen in cloud.seen:
            running = sum(each.started_at <= seen.started_at < each.ended_at for each in cloud.seen)
            assert running <= (most if seen.had_turn_at <= cloud.first_rejection else 1)
            ended = [each.ended_at for each in cloud.seen if each.ended_at < seen.started_at]
            if ended and seen.had_turn_at > cloud.first_rejection:
                assert seen.started_at - max(ended) >= gap_s - 1e-4
        assert not any(each.unshared for each in processes)

    with tempfile.TemporaryDirectory() as folder, asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        runner.run(play(Path(folder)))
