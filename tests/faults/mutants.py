"""The save with one mistake in it: `replace_file` itself, with other functions in the place of its own.

A rig names the mutants that it catches; together they catch all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest

from collector.archive import checksums, files, ledger, store

Save = Callable[[Path, bytes], bool]

_replace_file = files.replace_file


class _Os:
    """`os` with some functions changed; the others are those of the moment, which a rig may have wrapped."""

    def __init__(self, **changed: Callable[..., Any]) -> None:
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)


def _nothing(*arguments: object) -> None:
    """In place of a step that is forgotten."""


def _replace_and_sync(temporary: Path, path: Path) -> None:
    os.replace(temporary, path)  # noqa: PTH105
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_again(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError:
        os.fsync(descriptor)


def _shared(temporary: Path) -> Path:
    """One temporary for all folders."""
    return temporary.parent.parent / files.TEMPORARY_SUFFIX


def _acknowledged_first() -> Save:
    """Returns as if it had saved, and saves when the next one comes."""
    waiting: list[tuple[Path, bytes]] = []

    def save(path: Path, data: bytes) -> bool:
        if not path.exists():
            return _replace_file(path, data)
        waiting.append((path, data))
        if len(waiting) > 1:
            _replace_file(*waiting.pop(0))
        return True

    return save


_CHANGES: dict[str, dict[str, Any]] = {
    "no fsync": {"os": _Os(fsync=_nothing)},
    "no directory fsync": {"sync_folder": lambda folder: True},
    "in place": {"TEMPORARY_SUFFIX": "", "os": _Os(replace=_nothing)},
    "replace before fsync": {"os": _Os(fsync=_nothing, replace=_replace_and_sync)},
    "second fsync on the same descriptor": {"os": _Os(fsync=_sync_again)},
    "no loop on short writes": {"_write_all": lambda descriptor, data: os.write(descriptor, data)},
    "shared temporary name": {
        "os": _Os(
            open=lambda path, *how: os.open(_shared(path), *how),
            replace=lambda old, new: os.replace(_shared(old), new),  # noqa: PTH105
        )
    },
}
MUTANTS = (*_CHANGES, "acknowledge first")


def mutant(name: str) -> Save:
    """`replace_file` with that mistake. Fails where it no longer does what is changed."""
    if name == "acknowledge first":
        return _acknowledged_first()
    changes, code = _CHANGES[name], _replace_file.__code__
    used = {*changes, *vars(changes.get("os", _Os()))}
    assert used <= set(code.co_names), f"{name}: replace_file does not use {used - set(code.co_names)}"
    return FunctionType(code, vars(files) | changes)


@contextmanager
def saving_by(save: Save) -> Iterator[None]:
    """The archive saves by `save` meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (files, store, ledger, checksums):
            patch.setattr(module, "replace_file", save)
        yield
