"""All that the page consists of: its files in `static/`, and `/api/v1`. Answers whole, packed and with tags.

Blocking. Nothing is read or imported before the first request.
"""

from __future__ import annotations

import gzip
import json
from collections import OrderedDict
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

from collector import __version__
from collector.archive.folder import stamp_of
from collector.web.api import PREFIX, Api, NotThere, Resource, WrongRequest

STATIC = Path(__file__).parent / "static"

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
}
_TEXT = "text/plain; charset=utf-8"
_MOST_KEPT = 512 * 1024  # bytes of packed answers: three years of four meters take 400 kB
_LEVEL = 6


class Reply(NamedTuple):
    """An answer: its status, content type, body, and tag, empty for none. `is_packed`: with gzip."""

    status: int
    content_type: str
    body: bytes
    tag: str = ""
    is_packed: bool = False


class Site:
    """The files and answers by their addresses. The last packed answers are kept, until `forget`."""

    def __init__(self, api: Api, static: Path = STATIC) -> None:
        self._api = api
        self._static = static
        self._kept: OrderedDict[str, tuple[str, bytes]] = OrderedDict()  # tag and packed body by address

    def reply(self, path: str, query: str, known_tags: str, *, may_pack: bool) -> Reply:
        """The answer to a request; `known_tags` is its header `If-None-Match`."""
        try:
            found = self._find(path, query)
            if _is_known(found.tag, known_tags):
                return Reply(HTTPStatus.NOT_MODIFIED, found.content_type, b"", found.tag)
            packed = self._packed(f"{path}?{query}", found)
        except NotThere as error:
            return _error(HTTPStatus.NOT_FOUND, str(error))
        except WrongRequest as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        except OSError as error:
            return _error(HTTPStatus.SERVICE_UNAVAILABLE, f"the files cannot be read: {error.strerror}")
        body = packed if may_pack else gzip.decompress(packed)
        return Reply(HTTPStatus.OK, found.content_type, body, found.tag, is_packed=may_pack)

    def forget(self) -> None:
        """Gives back the memory of the answers that were kept; also while an answer is made elsewhere."""
        self._kept = OrderedDict()

    @property
    def kept_bytes(self) -> int:
        """The size of the answers that are kept."""
        return _size_of(self._kept)

    def _find(self, path: str, query: str) -> Resource:
        if path.startswith(PREFIX):
            return self._api.find(path, query)
        # By their names as they are listed: so "..", links and other spellings find nothing.
        files = {f"/static/{each.name}": each for each in self._static.glob("*") if not each.is_symlink()}
        file = files.get("/static/index.html" if path == "/" else path)
        if file is None or not file.is_file():
            raise NotThere("not found; the page is at /")
        tag = f"{__version__}-{stamp_of(file.stat()) & 0xFFFFFFFFFFFF:x}"
        return Resource(_TYPES.get(file.suffix, _TEXT), tag, file.read_bytes)

    def _packed(self, address: str, found: Resource) -> bytes:
        kept = self._kept
        tag, body = kept.pop(address, ("", b""))
        if tag != found.tag:
            body = gzip.compress(found.make(), _LEVEL, mtime=0)
        kept[address] = found.tag, body
        while _size_of(kept) > _MOST_KEPT and len(kept) > 1:
            kept.popitem(last=False)
        return body


def _size_of(kept: OrderedDict[str, tuple[str, bytes]]) -> int:
    return sum(len(body) for _, body in kept.values())


def _error(status: HTTPStatus, reason: str) -> Reply:
    return Reply(status, "application/json", f"{json.dumps({'error': reason})}\n".encode())


def _is_known(tag: str, known: str) -> bool:
    """Whether a header `If-None-Match` names the tag; strong and weak ones are the same here."""
    return any(each.strip().removeprefix("W/") == f'"{tag}"' for each in known.split(","))
