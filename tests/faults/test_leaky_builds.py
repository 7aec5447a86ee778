"""X1, builds that leak on purpose: each must be found, and the sound one beside it must not."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog

from collector import logs, status
from collector.archive import dayfile
from collector.cloud import client
from collector.service import notify
from collector.settings import masked
from collector.web.metrics import exposition
from tests.faults import figures
from tests.faults.failures import URL
from tests.faults.showing import START, Shown, backfilled, lived
from tests.support.key_forms import AWKWARD_KEY as KEY
from tests.support.scanner import found_in
from tests.support.world import cloud_of, world

Build = Callable[[pytest.MonkeyPatch], None]


def redacts_nothing(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(logs, "redactor", lambda secrets: str)


def redacts_the_raw_form_alone(patch: pytest.MonkeyPatch) -> None:
    def redactor(secrets: Any) -> Callable[[str], str]:
        return lambda text: text.replace(KEY, "***")

    patch.setattr(logs, "redactor", redactor)


def shows_local_variables(patch: pytest.MonkeyPatch) -> None:
    """As structlog's own documentation has it, behind the redaction of the message."""
    frames = structlog.tracebacks.ExceptionDictTransformer(show_locals=True)
    chain: list[Any] = [
        structlog.processors.ExceptionRenderer(frames),
        structlog.processors.JSONRenderer(default=repr),
    ]

    def configure(**options: Any) -> None:
        def emit(line: str) -> None:
            options["stream"].write(f"{line}\n")

        class Output:
            debug = info = warning = error = critical = staticmethod(emit)

        structlog.configure(processors=chain, logger_factory=lambda *told: Output())

    patch.setattr(logs, "configure", configure)


def logs_each_retry_with_its_url(patch: pytest.MonkeyPatch) -> None:
    """tenacity's `before_sleep_log`, on a handler of its own, and errors with the library's words."""
    errors_hold_the_url(patch)
    log = logging.getLogger("tenacity")
    handler = logging.StreamHandler(sys.stderr)
    patch.setattr(log, "handlers", [handler])
    import tenacity

    tell = tenacity.before_sleep_log(log, logging.WARNING)

    given = tenacity.AsyncRetrying

    def leaking(**options: Any) -> tenacity.AsyncRetrying:
        return given(**options | {"before_sleep": tell})

    patch.setattr(tenacity, "AsyncRetrying", leaking)  # imported when the first request is made


def errors_hold_the_url(patch: pytest.MonkeyPatch) -> None:
    def in_words(error: Exception) -> str:
        return f"{error} at {URL}"

    patch.setattr(client, "in_words", in_words)


def lost_tasks_go_past_the_log(patch: pytest.MonkeyPatch) -> None:
    def route_stdlib(level: int, emit: object) -> None:
        root = logging.getLogger()
        root.handlers[:] = [each for each in root.handlers if not isinstance(each, logs._Handler)]
        patch.setattr(root, "handlers", [*root.handlers, logging.StreamHandler(sys.stderr)])

    patch.setattr(logs, "route_stdlib", route_stdlib)


def day_files_name_their_source(patch: pytest.MonkeyPatch) -> None:
    original = dayfile.encode

    def encode(*told: Any, **more: Any) -> bytes:
        return original(*told, **more) + f'{{"source": "{URL}"}}\n'.encode()

    patch.setattr("collector.archive.store.encode", encode)


def status_names_its_source(patch: pytest.MonkeyPatch) -> None:
    def write_status(place: Path, each: status.Status) -> None:
        status.write_status(place, each)
        place.write_text(json.dumps(json.loads(place.read_text()) | {"key": KEY}))

    patch.setattr("collector.service.status.write_status", write_status)


def children_inherit_everything(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(notify, "_KEPT", (*notify._KEPT, "SHELLY_COLLECTOR_AUTH_KEY"))


def page_shows_the_source(patch: pytest.MonkeyPatch) -> None:
    def told(*status: Any) -> str:
        return f"{exposition(*status)}# {URL}\n"

    patch.setattr("collector.web.endpoint.exposition", told)


def breaks_its_base64_over_lines(patch: pytest.MonkeyPatch) -> None:
    """No redaction, and the key where nobody reads it."""
    import base64

    redacts_nothing(patch)
    text = base64.encodebytes(b"A" * 40 + KEY.encode() * 2).decode()
    patch.setattr("tests.faults.failures.URL", text)


# Each with the place where it leaks, a failure that makes it, and whether a backfill shows it or a service.
LEAKY: dict[str, tuple[str, Build, str, Callable[..., Awaitable[tuple[Shown, Any]]]]] = {
    "redacts nothing": ("log", redacts_nothing, "a bug with the URL", backfilled),
    "redacts the raw form alone": ("log", redacts_the_raw_form_alone, "a bug with the URL", backfilled),
    "shows local variables": ("log", shows_local_variables, "a bug that says nothing", backfilled),
    "logs each retry with its URL": ("output", logs_each_retry_with_its_url, "nobody listens", backfilled),
    "errors hold the URL": ("report", errors_hold_the_url, "nobody listens", backfilled),
    "lost tasks go past the log": ("output", lost_tasks_go_past_the_log, "a lost task", backfilled),
    "day files name their source": (".jsonl", day_files_name_their_source, "spaced_out", backfilled),
    "breaks its base64 over lines": ("log", breaks_its_base64_over_lines, "a bug with the URL", backfilled),
    "the status names its source": (".json", status_names_its_source, "status_500", lived),
    "children inherit everything": ("environ", children_inherit_everything, "status_500", lived),
    "the page shows the source": ("/metrics", page_shows_the_source, "status_500", lived),
}


@pytest.fixture
def sound_logs() -> Iterator[None]:
    """Logging as it was: a leaky build leaves processors behind."""
    yield
    structlog.reset_defaults()


@pytest.mark.usefixtures("sound_logs")
async def test_every_leaky_build_is_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """With the leak the scanner finds the key where it leaks; without it, by the same way, nowhere."""
    for number, (name, (place, build, failure, showing)) in enumerate(LEAKY.items()):
        found, _ = await showing(failure, tmp_path / f"sound-{number}")
        assert found == {}, name
        assert found_in("".join(capfd.readouterr()).encode()) == [], name
        with pytest.MonkeyPatch.context() as patch:
            build(patch)
            found, _ = await showing(failure, tmp_path / f"leaky-{number}")
            found["output"] = found_in("".join(capfd.readouterr()).encode())
        assert any(forms for where, forms in found.items() if place in where), (name, set(found))
    figures.note("X1", leaky_builds=len(LEAKY), found=number + 1)


async def test_a_configuration_that_is_shown_unmasked_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`config show` without its mask."""
    async with world(cloud_of(key=KEY), tmp_path, START) as here:
        settings = here.settings()
    assert found_in(masked(settings).encode()) == []
    monkeypatch.setattr("collector.settings.files.MASK", KEY)
    monkeypatch.setattr("collector.settings.files.redactor", lambda secrets: str)
    assert found_in(masked(settings).encode())
