"""What a file system may hold after a crash: every state that POSIX allows, from the calls made before it.

What was synced is there. Of what was not, anything may be: names changed or not, each on its own;
written bytes there, half there, absent, or zeros where a file grew. A file's name may be durable before
its bytes are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from tests.faults.storage_calls import FOLDER, Acknowledged, Call, Cut, Named, Recording, Synced, Written

_Change = Written | Cut
Tree = tuple[tuple[Path, bytes | None], ...]
"""Each path with its bytes; a folder has None."""


class State(NamedTuple):
    """What may be there after a crash, and all that had been acknowledged before it."""

    tree: Tree
    acknowledged: tuple[Any, ...]


def crash_states(made: Recording) -> Iterator[State]:
    """Each state that a crash between any two of the calls may leave, once."""
    seen: set[State] = set()
    for length in range(len(made.calls) + 1):
        before = made.calls[:length]
        acknowledged = tuple(call.what for call in before if isinstance(call, Acknowledged))
        for tree in _trees(made, before):
            state = State(tree, acknowledged)
            if state not in seen:
                seen.add(state)
                yield state


def write_out(tree: Tree, root: Path, place: Path) -> None:
    """Makes that tree, which was recorded at `root`, in the empty folder `place`."""
    for path, data in tree:
        target = place / path.relative_to(root)
        if data is None:
            target.mkdir(exist_ok=True)
        else:
            target.write_bytes(data)


def _trees(made: Recording, calls: Sequence[Call]) -> Iterator[Tree]:
    fates = {number: sorted(set(_contents(number, made, calls))) for number in _numbers(made, calls)}
    for entries, folders in _namings(made, calls):
        present = {path: number for path, number in entries.items() if _is_reachable(path, folders)}
        paths = sorted(present)
        shown = [(folder, None) for folder in sorted(folders) if _is_reachable(folder, folders)]
        for contents in product(*(fates[present[path]] for path in paths)):
            yield (*shown, *zip(paths, contents, strict=True))


def _namings(made: Recording, calls: Sequence[Call]) -> Iterator[tuple[dict[Path, int], set[Path]]]:
    """Every way in which the changes of names may have come through."""
    changes = [(place, call) for place, call in enumerate(calls) if isinstance(call, Named)]
    synced = {call.what: place for place, call in enumerate(calls) if isinstance(call, Synced)}
    choices = [(True,) if place < synced.get(call.folder, -1) else (True, False) for place, call in changes]
    for kept in product(*choices):
        entries, folders = dict(made.files), set(made.folders)
        for (_, call), is_kept in zip(changes, kept, strict=True):
            for name, number in call.names if is_kept else ():
                entries.pop(call.folder / name, None)
                if number == FOLDER:
                    folders.add(call.folder / name)
                elif number is not None:
                    entries[call.folder / name] = number
        yield entries, folders


def _contents(number: int, made: Recording, calls: Sequence[Call]) -> Iterator[bytes]:
    """Every content that the file may have."""
    data = made.contents.get(number, b"")
    pending: list[_Change] = []
    for call in calls:
        if isinstance(call, Written | Cut) and call.file == number:
            pending.append(call)
        elif isinstance(call, Synced) and call.what == number:
            for change in pending:
                data = _applied(data, change)
            pending = []
    for fates in product(*(_fates(change) for change in pending)):
        state = data
        for fate in fates:
            state = _applied(state, fate) if fate else state
        yield state


def _fates(change: _Change) -> Iterator[_Change | None]:
    yield None
    yield change
    if isinstance(change, Written) and len(change.data) > 1:
        yield replace(change, data=change.data[: len(change.data) // 2])
        yield replace(change, data=bytes(len(change.data)))


def _applied(data: bytes, change: _Change) -> bytes:
    if isinstance(change, Cut):
        return data[: change.size]
    padded = data.ljust(change.offset, b"\0")
    return padded[: change.offset] + change.data + padded[change.offset + len(change.data) :]


def _numbers(made: Recording, calls: Sequence[Call]) -> set[int]:
    named = {number for call in calls if isinstance(call, Named) for _, number in call.names}
    return {*made.files.values(), *(number for number in named if number is not None and number != FOLDER)}


def _is_reachable(path: Path, folders: set[Path]) -> bool:
    return all(parent in folders for parent in path.parents if _is_below(parent, folders))


def _is_below(path: Path, folders: set[Path]) -> bool:
    root = min(folders)
    return path == root or root in path.parents
