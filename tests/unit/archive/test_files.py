"""Files: replaced whole or not at all, moved aside, locked. Real files, and real errors of the kernel's."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, Timer

import pytest

from collector.archive.files import (
    FolderLock,
    append_durably,
    append_whole,
    can_sync,
    is_held,
    is_there,
    make_folder,
    quarantine,
    read_at_most,
    remove_stale_temporaries,
    replace_file,
    sync_folder,
)
from collector.archive.ledger import Ledger
from collector.errors import ArchiveLocked
from tests.support.failing_calls import Calls, Failure, folders_refused

STRACE = shutil.which("strace")
traced = pytest.mark.skipif(STRACE is None, reason="needs strace")

SAVER = """
import os, sys
from pathlib import Path
from collector.archive.files import replace_file
os.write(2, b"BEGIN\\n")
try:
    replace_file(Path(sys.argv[1]), b"new" * 1000)
except OSError as error:
    sys.exit(error.errno)
finally:
    os.write(2, b"END\\n")
"""
JOURNAL_WRITER = """
import sys
from pathlib import Path
from collector.archive.files import append_durably
path = Path(sys.argv[1])
append_durably(path, b"first\\n")
try:
    append_durably(path, b"second\\n")
except OSError as error:
    sys.exit(error.errno)
"""
READER = """
import sys
from pathlib import Path
from collector.archive.files import read_at_most
sys.exit(len(read_at_most(Path(sys.argv[1]), 10)))
"""
OPENER = """
import sys
from pathlib import Path
from collector.archive.files import FolderLock, append_whole, is_held, make_folder, read_at_most
folder = Path(sys.argv[1], "made")
make_folder(folder)
append_whole(folder / "journal", b"line\\n")
read_at_most(folder / "journal", 10)
FolderLock(folder / "lock").release()
is_held(folder / "lock")
"""
UNLOCKED = """
import sys
from pathlib import Path
from collector.archive.files import FolderLock, is_held
lock = FolderLock(Path(sys.argv[1]))
print(lock.holds, is_held(Path(sys.argv[1])))
"""
LOCKER = """
import sys
from pathlib import Path
from collector.archive.files import FolderLock
from collector.errors import ArchiveLocked
try:
    lock = FolderLock(Path(sys.argv[1]))
except ArchiveLocked:
    sys.exit(75)
print("held", flush=True)
sys.stdin.read()
"""


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


@pytest.fixture
def day_file(tmp_path: Path) -> Path:
    path = tmp_path / "2024-06-12.jsonl"
    path.write_bytes(b"old")
    return path


def save_traced(day_file: Path, *options: str) -> tuple[int, str]:
    """Saves in a process of its own whose system calls on that folder are traced; its exit and the trace."""
    return traced_run(SAVER, day_file, *options)


def traced_run(script: str, path: Path, *options: str) -> tuple[int, str]:
    """Runs that script on that path; its exit and the trace."""
    log = path.parent.parent / f"{path.parent.name}.strace"
    assert STRACE is not None
    done = subprocess.run(
        [STRACE, "-f", "-qq", "-y", "-o", str(log), *options, sys.executable, "-c", script, str(path)],
        check=False,
        capture_output=True,
        timeout=60,
    )
    return done.returncode, log.read_text()


def test_a_file_is_replaced(day_file: Path) -> None:
    """Whole, readable for the group and not for others, with nothing left beside it."""
    replace_file(day_file, b"new")
    assert day_file.read_bytes() == b"new"
    assert stat.S_IMODE(day_file.stat().st_mode) == 0o640
    assert names_in(day_file.parent) == [day_file.name]


def test_others_may_read_nothing_whatever_the_umask_says(tmp_path: Path) -> None:
    """They could see when somebody is at home."""
    os.umask(0)
    make_folder(tmp_path / "made")
    replace_file(tmp_path / "made" / "day", b"day")
    append_whole(tmp_path / "made" / "journal", b"line\n")
    FolderLock(tmp_path / "made" / "lock").release()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")}
    assert modes == {"made": 0o750, "day": 0o640, "journal": 0o640, "lock": 0o640}


def test_nothing_stays_open(tmp_path: Path) -> None:
    """A service that runs for years would have no descriptor left; failures happen as well."""
    before = open_files()
    make_folder(tmp_path / "made")
    replace_file(tmp_path / "made" / "day", b"day")
    append_durably(tmp_path / "made" / "journal", b"line\n")
    read_at_most(tmp_path / "made" / "day", 10)
    lock = FolderLock(tmp_path / "made" / "lock")
    assert is_held(tmp_path / "made" / "lock")
    with pytest.raises(ArchiveLocked):
        FolderLock(tmp_path / "made" / "lock")
    lock.release()
    assert not is_held(tmp_path / "made" / "lock")
    quarantine(tmp_path / "made" / "day", tmp_path / "aside")
    assert open_files() == before


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_a_file_is_created_with_everything_in_it(tmp_path: Path) -> None:
    """Also with megabytes, and with nothing."""
    for data in (b"x" * 5_000_000, b""):
        replace_file(tmp_path / "new", data)
        assert (tmp_path / "new").read_bytes() == data


@traced
def test_the_order_of_calls_is_what_survives_a_power_cut(day_file: Path) -> None:
    """Open, write, fsync, close, rename, fsync of the folder. Another order loses acknowledged saves."""
    names = "openat,write,fsync,fdatasync,close,rename,renameat,renameat2"
    code, trace = save_traced(day_file, "-e", f"trace={names}")
    assert code == 0
    saving = trace.split('"BEGIN')[1].split('"END')[0]
    calls = [
        (match[1], "file" if "shelly-tmp" in match[0] else "folder")
        for match in re.finditer(r"^\d+ +(\w+)\(.*$", saving, re.MULTILINE)
        if str(day_file.parent) in match[0]
    ]
    assert calls == [
        ("openat", "file"),
        ("write", "file"),
        ("fsync", "file"),
        ("close", "file"),
        ("rename", "file"),
        ("openat", "folder"),
        ("fsync", "folder"),
        ("close", "folder"),
    ]
    opened = saving.split("openat(")[1].splitlines()[0]
    for flag in ("O_CREAT", "O_TRUNC", "O_NOFOLLOW", "O_CLOEXEC", "0640"):
        assert flag in opened
    assert '.jsonl"' not in opened


@traced
def test_what_is_appended_durably_is_there_after_a_power_cut(tmp_path: Path) -> None:
    """Each line is synced; and once the name of the journal, which is new."""
    journal = tmp_path / "journal"
    code, trace = traced_run(JOURNAL_WRITER, journal, "-e", "trace=openat,write,fsync,close")
    assert code == 0
    calls = [line.split()[1].partition("(")[0] for line in trace.splitlines() if str(tmp_path) in line]
    assert calls == [
        *("openat", "write", "fsync", "close"),
        *("openat", "fsync", "close"),  # the folder
        *("openat", "write", "fsync", "close"),
    ]
    assert journal.read_bytes() == b"first\nsecond\n"


@traced
@pytest.mark.parametrize("more", [[], ["-e", "inject=ftruncate:error=EIO"]])
def test_an_append_that_finds_no_room_is_reported(tmp_path: Path, more: list[str]) -> None:
    """As that, also where what was written of it cannot be taken back."""
    journal = tmp_path / "journal"
    inject = ["-e", "trace=write,ftruncate", "-e", "inject=write:retval=3:when=2", *more]
    code, _ = traced_run(JOURNAL_WRITER, journal, "-P", str(journal), *inject)
    assert code == errno.ENOSPC
    assert journal.read_bytes() == b"first\n"


def test_an_append_that_finds_no_room_names_the_journal(tmp_path: Path) -> None:
    """A person has to find it."""
    journal = tmp_path / "journal"
    short = Failure(range(sys.maxsize), None)
    with Calls(tmp_path, short).wrapped() as calls, calls.watched(), pytest.raises(OSError) as raised:
        append_whole(journal, b"line\n")
    assert raised.value.args == (errno.ENOSPC, "no space for a journal")
    assert raised.value.filename == str(journal)
    assert journal.read_bytes() == b""


def test_an_appended_line_stands_where_it_is_said_to(tmp_path: Path) -> None:
    """At the end of what was there."""
    journal = tmp_path / "journal"
    assert append_durably(journal, b"first\n") == 0
    append_whole(journal, b"second\n")
    assert append_durably(journal, b"third\n") == len(b"first\nsecond\n")
    assert journal.read_bytes() == b"first\nsecond\nthird\n"


@traced
def test_nothing_is_opened_through_a_link_that_somebody_planted(tmp_path: Path) -> None:
    """And nothing waits for whoever is at the other end of a pipe. Files are read by what they are."""
    code, trace = traced_run(OPENER, tmp_path, "-e", "trace=openat")
    assert code == 0
    opened = [
        (str(match[1]), set(match[2].split("|")) - {"O_CLOEXEC"})
        for match in re.finditer(rf'"{tmp_path}/?([a-z/]*)", ([A-Z_|]+)', trace)
    ]
    writing = {"O_WRONLY", "O_APPEND", "O_CREAT", "O_NOFOLLOW"}
    assert opened == [
        ("made", {"O_RDONLY", "O_DIRECTORY", "O_NOFOLLOW"}),
        ("", {"O_RDONLY", "O_DIRECTORY"}),
        ("made/journal", writing),
        ("made/journal", {"O_RDONLY", "O_NONBLOCK"}),
        ("made/lock", {"O_RDWR", "O_CREAT", "O_NOFOLLOW"}),
        ("made/lock", {"O_RDONLY", "O_NONBLOCK", "O_NOFOLLOW"}),
    ]


@traced
@pytest.mark.parametrize("error", ["ENOSPC", "EIO", "EROFS", "EDQUOT"])
@pytest.mark.parametrize("call", ["openat", "write", "fsync", "close", "rename"])
def test_a_failed_save_leaves_the_old_file(day_file: Path, call: str, error: str) -> None:
    """Whichever call fails: the old bytes, no temporary, and the error is reported as it is."""
    temporary = f"{day_file}.shelly-tmp"
    options = ["-P", temporary, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when=1"]
    code, trace = save_traced(day_file, *options)
    assert "INJECTED" in trace
    assert code == getattr(errno, error)
    assert day_file.read_bytes() == b"old"
    assert names_in(day_file.parent) == [day_file.name]


@traced
@pytest.mark.parametrize(("call", "when"), [("openat", 1), ("fsync", 1), ("close", 1)])
def test_a_folder_that_cannot_be_synced_is_reported(day_file: Path, call: str, when: int) -> None:
    """The new file is there, whole, but nobody is told that it is safe."""
    folder = str(day_file.parent)
    options = ["-P", folder, "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={when}"]
    code, trace = save_traced(day_file, *options)
    assert "INJECTED" in trace
    assert code == 5
    assert day_file.read_bytes() == b"new" * 1000
    assert names_in(day_file.parent) == [day_file.name]


@traced
def test_a_failed_fsync_is_not_tried_again(day_file: Path) -> None:
    """After a failed one a second may lie."""
    inject = "inject=fsync:error=EIO:when=1"
    _, trace = save_traced(day_file, "-e", "trace=fsync,fdatasync", "-e", inject)
    assert trace.count("fsync(") == 1


@traced
def test_short_writes_continue(day_file: Path) -> None:
    """A write of nothing at first: the whole file is there in the end."""
    options = ["-P", f"{day_file}.shelly-tmp", "-e", "trace=write", "-e", "inject=write:retval=0:when=1"]
    code, trace = save_traced(day_file, *options)
    assert (code, trace.count("write(")) == (0, 2)
    assert day_file.read_bytes() == b"new" * 1000


def test_a_planted_link_is_not_followed(day_file: Path, tmp_path: Path) -> None:
    """What it points to stays as it is; the link is gone, and the next save works."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    temporary = day_file.with_name(day_file.name + ".shelly-tmp")
    temporary.symlink_to(victim)
    with pytest.raises(OSError, match="symbolic"):
        replace_file(day_file, b"new")
    assert (victim.read_bytes(), day_file.read_bytes()) == (b"precious", b"old")
    replace_file(day_file, b"new")
    assert day_file.read_bytes() == b"new"


def test_only_our_own_temporaries_are_removed(tmp_path: Path) -> None:
    """What a crash left behind goes; what is of others stays."""
    (tmp_path / "2024-06-12.jsonl.shelly-tmp").write_bytes(b"half")
    (tmp_path / "2024-06-12.jsonl.tmp").write_bytes(b"another program's")
    (tmp_path / "2024-06-12.jsonl").write_bytes(b"day")
    remove_stale_temporaries(tmp_path)
    assert names_in(tmp_path) == ["2024-06-12.jsonl", "2024-06-12.jsonl.tmp"]


def test_a_folder_named_like_a_temporary_does_not_stop_the_start(tmp_path: Path) -> None:
    """Bug: it is not ours, cannot be unlinked, and the archive could not be opened."""
    (tmp_path / "x.shelly-tmp").mkdir()
    remove_stale_temporaries(tmp_path)
    assert (tmp_path / "x.shelly-tmp").is_dir()


def test_quarantine_overwrites_nothing(tmp_path: Path) -> None:
    """Three damaged files of one name lie beside each other."""
    aside = tmp_path / "quarantine"
    for number in (1, 2, 3):
        (tmp_path / "day.jsonl").write_bytes(b"%d" % number)
        place = quarantine(tmp_path / "day.jsonl", aside)
        assert place == aside / f"day.jsonl.{number}"
    assert [(aside / f"day.jsonl.{number}").read_bytes() for number in (1, 2, 3)] == [b"1", b"2", b"3"]
    assert names_in(tmp_path) == ["quarantine"]


def test_what_was_moved_aside_is_there_after_a_power_cut(tmp_path: Path) -> None:
    """First in its new place, then gone from the old one: at no moment nowhere."""
    (tmp_path / "day.jsonl").write_bytes(b"damaged")
    make_folder(tmp_path / "quarantine")
    with Calls(tmp_path).wrapped() as calls, calls.watched():
        place = quarantine(tmp_path / "day.jsonl", tmp_path / "quarantine")
    assert [call for call in calls.made if call[0] in ("rename", "fsync")] == [
        ("rename", str(tmp_path / "day.jsonl")),
        ("fsync", str(tmp_path / "quarantine")),
        ("fsync", str(tmp_path)),
    ]
    assert place.read_bytes() == b"damaged"


@pytest.mark.parametrize("failing", [range(4, sys.maxsize), range(sys.maxsize)])
def test_a_file_that_was_moved_is_reported_where_the_disk_fails_afterwards(
    tmp_path: Path, failing: range
) -> None:
    """Bug: it was gone from its place, and nobody was told where to."""
    (tmp_path / "day.jsonl").write_bytes(b"damaged")
    make_folder(tmp_path / "quarantine")
    fault = Failure(failing, errno.EIO, frozenset({"fsync"}))
    with Calls(tmp_path, fault).wrapped() as calls, calls.watched():
        place = quarantine(tmp_path / "day.jsonl", tmp_path / "quarantine")
    assert place.read_bytes() == b"damaged"
    assert not is_there(tmp_path / "day.jsonl")


def test_a_link_to_nowhere_is_there(tmp_path: Path) -> None:
    """Who takes it for absent writes over it."""
    (tmp_path / "link").symlink_to("nowhere")
    assert (is_there(tmp_path / "link"), is_there(tmp_path / "nowhere")) == (True, False)


def test_what_cannot_be_looked_at_in_quarantine_is_not_written_over(tmp_path: Path) -> None:
    """Bug: when `lstat` failed, a place counted as free, and an earlier damaged file was destroyed."""
    aside = tmp_path / "quarantine"
    for data in (b"earlier", b"later"):
        (tmp_path / "day.jsonl").write_bytes(data)
        if data == b"earlier":
            quarantine(tmp_path / "day.jsonl", aside)
    fault = Failure(range(sys.maxsize), errno.EIO, frozenset({"lstat"}))
    with Calls(aside, fault).wrapped() as calls, calls.watched(), pytest.raises(OSError, match="Input"):
        quarantine(tmp_path / "day.jsonl", aside)
    assert (aside / "day.jsonl.1").read_bytes() == b"earlier"
    assert (tmp_path / "day.jsonl").read_bytes() == b"later"


def test_a_folder_in_place_of_a_file_costs_no_descriptor(tmp_path: Path) -> None:
    """Bug: it was opened, could not be read, and stayed open."""
    before = open_files()
    with pytest.raises(IsADirectoryError):
        read_at_most(tmp_path, 10)
    assert open_files() == before


def test_a_folder_whose_name_is_not_durable_is_not_left(tmp_path: Path) -> None:
    """Bug: the next try found it, and never made its name durable; days in it could go with a power cut."""
    fault = Failure(range(sys.maxsize), errno.EIO, frozenset({"fsync"}))
    with Calls(tmp_path, fault).wrapped() as calls, calls.watched(), pytest.raises(OSError, match="Input"):
        make_folder(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_even_be_taken_back_is_reported_by_its_first_error(tmp_path: Path) -> None:
    """Which is the one that somebody can do something about."""
    fault = Failure(range(sys.maxsize), errno.EIO, frozenset({"fsync", "rmdir"}))
    with Calls(tmp_path, fault).wrapped() as calls, calls.watched(), pytest.raises(OSError) as raised:
        make_folder(tmp_path / "new")
    assert (calls.failed, raised.value.filename) == (2, str(tmp_path))


def test_reading_is_bounded(tmp_path: Path) -> None:
    """One byte more than allowed is enough to see that there are too many."""
    path = tmp_path / "big"
    path.write_bytes(b"x" * 1000)
    assert len(read_at_most(path, 10)) == 11
    assert len(read_at_most(path, 1000)) == 1000


@traced
@pytest.mark.parametrize("size", [4, 10])
def test_a_read_that_brings_only_a_part_continues(day_file: Path, size: int) -> None:
    """Up to the one byte too many, and a part may well end just before it."""
    day_file.write_bytes(b"x" * 1000)
    options = ["-P", str(day_file), "-e", "trace=read", "-e", f"inject=read:retval={size}:when=1"]
    code, trace = traced_run(READER, day_file, *options)
    assert (code, trace.count("read(")) == (11, 2)


def test_a_named_pipe_does_not_stop_the_reader(tmp_path: Path) -> None:
    """Bug: opening one waited for a writer, for ever."""
    os.mkfifo(tmp_path / "2024-06-12.jsonl")
    assert read_at_most(tmp_path / "2024-06-12.jsonl", 10) == b""


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    """Its parent must be there, and a file in its place is an error."""
    make_folder(tmp_path / "new")
    make_folder(tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o750
    with pytest.raises(FileNotFoundError):
        make_folder(tmp_path / "no" / "parent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotADirectoryError) as raised:
        make_folder(tmp_path / "file")
    assert raised.value.args == (errno.ENOTDIR, "a file is in the way")
    assert raised.value.filename == str(tmp_path / "file")
    with pytest.raises(NotADirectoryError):
        sync_folder(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_what_root_makes_belongs_to_the_owner_of_its_folder(tmp_path: Path) -> None:
    """Bug: after a backfill by root the service could not read its files, and moved them aside."""
    os.chown(tmp_path, 12345, 23456)
    make_folder(tmp_path / "own")
    FolderLock(tmp_path / "own" / "lock").release()
    replace_file(tmp_path / "2024-06-12.jsonl", b"new")
    Ledger(tmp_path / "own" / "ledger.jsonl").note_zone("Europe/Dublin")
    made = [*tmp_path.rglob("*")]
    assert len(made) == 4
    assert {(path.stat().st_uid, path.stat().st_gid) for path in made} == {(12345, 23456)}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for others")
def test_a_file_with_a_second_name_elsewhere_is_not_given_away(tmp_path: Path) -> None:
    """The folder's owner must not get what is root's by linking it into the folder."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"")
    (tmp_path / "house").mkdir()
    os.chown(tmp_path / "house", 12345, 23456)
    os.link(secret, tmp_path / "house" / "lock")
    FolderLock(tmp_path / "house" / "lock").release()
    assert secret.stat().st_uid == 0


def start_locker(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )


def test_a_second_process_is_locked_out_until_the_first_is_killed(tmp_path: Path) -> None:
    """However it ends, the kernel frees the lock."""
    path = tmp_path / "lock"
    with start_locker(path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(ArchiveLocked):
            FolderLock(path)
        with start_locker(path) as second:
            assert second.wait(20) == 75
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)
    FolderLock(path).release()


def test_another_instance_is_reported_at_once(tmp_path: Path) -> None:
    """Only those who look are waited for: this is one that stays."""
    held = FolderLock(tmp_path / "lock")
    with (
        Calls(tmp_path).wrapped() as calls,
        calls.watched(),
        pytest.raises(ArchiveLocked, match=r"^another instance holds this archive$"),
    ):
        FolderLock(tmp_path / "lock")
    held.release()
    assert [name for name, _ in calls.made].count("flock") == 2


def test_of_two_that_wait_for_a_look_to_end_one_has_the_folder(tmp_path: Path) -> None:
    """They do not keep each other out while they wait."""
    path = tmp_path / "lock"
    path.touch()
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    won: list[FolderLock] = []
    lost: list[ArchiveLocked] = []

    def start() -> None:
        try:
            won.append(FolderLock(path))
        except ArchiveLocked as error:
            lost.append(error)

    starts = [Thread(target=start) for _ in range(2)]
    leaves = Timer(0.03, os.close, [looker])
    for each in (leaves, *starts):
        each.start()
    for each in (leaves, *starts):
        each.join()
    assert (len(won), len(lost)) == (1, 1)
    won[0].release()


def test_a_lock_is_taken_again_after_its_release(tmp_path: Path) -> None:
    """Within one process too."""
    first = FolderLock(tmp_path / "lock")
    with pytest.raises(ArchiveLocked):
        FolderLock(tmp_path / "lock")
    first.release()
    FolderLock(tmp_path / "lock").release()


def test_whether_a_folder_is_held_is_seen_from_outside_and_changes_nothing(tmp_path: Path) -> None:
    """By another process, and until it dies; a folder that nobody ever held is free."""
    path = tmp_path / "lock"
    assert (is_held(path), is_held(tmp_path / "no" / "lock")) == (False, False)
    assert names_in(tmp_path) == []
    with start_locker(path) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        before = path.stat()
        assert is_held(path)
        assert is_held(path)
        assert path.stat() == before
        with pytest.raises(ArchiveLocked):
            FolderLock(path)
        holder.send_signal(signal.SIGKILL)
        holder.wait(20)
    assert not is_held(path)


def test_a_lock_that_may_not_be_looked_at_is_reported(tmp_path: Path) -> None:
    """As the error that it is: nobody can say whether it is held."""
    (tmp_path / "lock").symlink_to("elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        is_held(tmp_path / "lock")


def test_whoever_only_looks_does_not_keep_a_service_from_starting(tmp_path: Path) -> None:
    """A look is over in a moment, and is waited for."""
    path = tmp_path / "lock"
    path.touch()
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    leaves = Timer(0.03, os.close, [looker])
    leaves.start()
    FolderLock(path).release()
    leaves.join()


def test_many_looks_at_once_disturb_no_start(tmp_path: Path) -> None:
    """Looked at without a pause, the lock is taken every time; and every look while it is held sees so."""
    path = tmp_path / "lock"
    over = Event()

    def look() -> None:
        while not over.is_set():
            is_held(path)

    lookers = [Thread(target=look) for _ in range(2)]
    for each in lookers:
        each.start()
    try:
        for _ in range(100):
            lock = FolderLock(path)
            assert is_held(path)
            lock.release()
    finally:
        over.set()
        for each in lookers:
            each.join()


def test_a_shared_lock_that_never_ends_is_another_instance(tmp_path: Path) -> None:
    """Whoever holds it: the start does not wait for ever."""
    path = tmp_path / "lock"
    path.touch()
    looker = os.open(path, os.O_RDONLY)
    fcntl.flock(looker, fcntl.LOCK_SH)
    with pytest.raises(ArchiveLocked):
        FolderLock(path)
    os.close(looker)


@traced
@pytest.mark.parametrize("error", ["ENOLCK", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_locks_lets_a_process_have_the_folder(tmp_path: Path, error: str) -> None:
    """Bug: it could not start there at all. Nobody is kept out, and that is known."""
    assert STRACE is not None
    command = [
        STRACE,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=flock",
        "-e",
        f"inject=flock:error={error}",
    ]
    command += [sys.executable, "-c", UNLOCKED, str(tmp_path / "lock")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.stdout == "False None\n", done.stderr


@traced
def test_a_lock_that_fails_otherwise_is_reported(tmp_path: Path) -> None:
    """Not as another instance: as the error that it is."""
    assert STRACE is not None
    command = [STRACE, "-f", "-qq", "-o", "/dev/null", "-e", "trace=flock", "-e", "inject=flock:error=EIO"]
    command += [sys.executable, "-c", UNLOCKED, str(tmp_path / "lock")]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert "Input/output error" in done.stderr


NO_FOLDER_SYNC = [errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP]


@pytest.mark.parametrize("number", NO_FOLDER_SYNC)
def test_a_folder_that_has_no_fsync_is_no_failed_save(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bug: on SMB and some FUSE "nothing could be saved", although it was."""
    monkeypatch.setattr(os, "fsync", folders_refused(number))
    make_folder(tmp_path / "made")
    day = tmp_path / "made" / "2024-06-12.jsonl"
    replace_file(day, b"new")
    assert append_durably(tmp_path / "made" / "journal", b"line\n") == 0
    place = quarantine(day, tmp_path / "made" / "aside")
    assert (place.read_bytes(), (tmp_path / "made" / "journal").read_bytes()) == (b"new", b"line\n")
    assert not sync_folder(tmp_path)
    assert not can_sync(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_a_folder_whose_fsync_fails_is_a_failed_save(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is in trouble, and the new name may be gone after the next power cut."""
    monkeypatch.setattr(os, "fsync", folders_refused(number))
    with pytest.raises(OSError) as raised:
        replace_file(tmp_path / "2024-06-12.jsonl", b"new")
    assert raised.value.errno == number
    assert can_sync(tmp_path), "nobody can say so now"


def test_a_file_whose_fsync_is_refused_is_a_failed_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is passed over is passed over for folders alone."""
    monkeypatch.setattr(os, "fsync", folders_refused(errno.EINVAL, of_files=True))
    with pytest.raises(OSError, match="Invalid argument"):
        replace_file(tmp_path / "2024-06-12.jsonl", b"new")
    assert names_in(tmp_path) == []


def test_a_file_system_that_keeps_names_is_known_as_one(tmp_path: Path) -> None:
    """Which these tests run on."""
    assert sync_folder(tmp_path)
    assert can_sync(tmp_path)
