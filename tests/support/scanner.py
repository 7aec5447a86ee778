"""The scanner: finds a key in bytes, in every encoding that a careless line could give it."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote_to_bytes

from tests.support.key_forms import AWKWARD_KEY, forms_of

_BREAKS = re.compile(rb"(?:\s|\\+[rn])+")  # what a MIME writer puts every 76 characters, escaped or not


def found_in(data: bytes, key: str = AWKWARD_KEY) -> list[bytes]:
    """The forms of the key that the data holds; also of either half of it, for half a key is one too.

    As it stands and with the quoting of URLs taken off, once and twice: each library has a safe set of
    its own.
    """
    forms, cores = _forms(key)
    views = [data]
    while b"%" in views[-1] and len(views) < 3:
        views.append(unquote_to_bytes(views[-1]))
    unbroken = [_BREAKS.sub(b"", view) for view in views]
    whole = [form for form in forms if any(form in view for view in views)]
    return whole + [core for core in cores if any(core in view for view in unbroken)]


def found_under(folders: Iterable[Path], key: str = AWKWARD_KEY) -> dict[Path, list[bytes]]:
    """The files below that hold the key, in their bytes or in their path; and how."""
    folders = list(folders)
    while True:
        files = [path for folder in folders for path in folder.rglob("*") if not path.is_dir()]
        try:
            found = {path: found_in(bytes(path) + b"\n" + path.read_bytes(), key) for path in files}
        except FileNotFoundError:
            continue  # a service that lives has replaced one meanwhile: all of them once more
        return {path: forms for path, forms in found.items() if forms}


def assert_no_key_in(data: bytes, key: str = AWKWARD_KEY) -> None:
    """Not one form of it."""
    assert found_in(data, key) == []


@lru_cache(maxsize=8)
def _forms(key: str) -> tuple[list[bytes], list[bytes]]:
    """Forms that stand in one piece, and those that may be broken over lines."""
    halves = {key[: len(key) // 2], key[len(key) // 2 :]}
    plain = {form for part in (key, *halves) for form in _plain_forms(part)}
    return sorted(plain), sorted({core for part in (key, *halves) for core in _base64_cores(part)})


def _plain_forms(key: str) -> set[bytes]:
    data = key.encode()
    escaped = html.escape(key)
    forms = {escaped.encode(), escaped.replace("&#x27;", "&#39;").encode(), repr(data)[2:-1].encode()}
    return forms | set(forms_of(key)) | {data.hex().encode(), data.hex().upper().encode()}


def _base64_cores(key: str) -> set[bytes]:
    """What base64 makes of the key at each alignment, without the characters shared with neighbours."""
    cores = set()
    for before in range(3):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            core = encode(b"\0" * before + key.encode() + b"\0" * 3)
            cores.add(core[(before * 8 + 5) // 6 : (before + len(key.encode())) * 8 // 6])
    return cores
