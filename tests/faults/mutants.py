"""The save with one mistake in it, made from its own source: what a rig must notice.

A rig names the mutants that it catches; together they catch all of them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

from collector.archive import checksums, files, ledger, store

Save = Callable[[Path, bytes], bool]

_FSYNC = "            os.fsync(descriptor)\n"
_REPLACE = "        os.replace(temporary, path)  # noqa: PTH105\n"
_SAFE_WRITE = "            _write_all(descriptor, data)\n"
_NAME = "temporary = path.with_name(path.name + _TEMPORARY_SUFFIX)"

_CHANGES: dict[str, list[tuple[str, str]]] = {
    "no fsync": [(_FSYNC, "")],
    "no directory fsync": [("    return sync_folder(path.parent)\n", "    return True\n")],
    "in place": [(_NAME, "temporary = path"), (_REPLACE, "")],
    "replace before fsync": [(_FSYNC, ""), (_REPLACE, f"{_REPLACE}        _sync_file(path)\n")],
    "second fsync on the same descriptor": [
        (_FSYNC, "            _sync_again(descriptor)\n"),
    ],
    "acknowledge first": [
        ("def replace_file(path: Path, data: bytes)", "def _replace_file(path: Path, data: bytes)")
    ],
    "no loop on short writes": [(_SAFE_WRITE, "            os.write(descriptor, data)\n")],
    "shared temporary name": [(_NAME, "temporary = path.parent.parent / _TEMPORARY_SUFFIX")],
}

MUTANTS = tuple(_CHANGES)

_EXTRAS = """
def _sync_file(path):
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_again(descriptor):
    try:
        os.fsync(descriptor)
    except OSError:
        os.fsync(descriptor)
"""

_LATE = '''
_waiting = []


def replace_file(path, data):
    """Says that it is saved, and saves it when the next one comes."""
    if not path.exists():
        return _replace_file(path, data)
    _waiting.append((path, data))
    if len(_waiting) > 1:
        _replace_file(*_waiting.pop(0))
    return True
'''


def mutant(name: str) -> Save:
    """`replace_file` with that mistake. Fails where the source no longer has the place to change."""
    source = inspect.getsource(files.replace_file)
    for old, new in _CHANGES[name]:
        assert source.count(old) == 1, f"{name}: {old!r} is not in replace_file once"
        source = source.replace(old, new)
    made = ModuleType("mutant")
    made.__dict__.update({key: value for key, value in vars(files).items() if key != "replace_file"})
    source = f"from __future__ import annotations\n{_EXTRAS}\n{source}\n"
    exec(compile(source + (_LATE if name == "acknowledge first" else ""), name, "exec"), made.__dict__)
    save: Save = made.replace_file
    return save


@contextmanager
def saving_by(save: Save) -> Iterator[None]:
    """The archive saves by `save` meanwhile."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (files, store, ledger, checksums):
            patch.setattr(module, "replace_file", save)
        yield
