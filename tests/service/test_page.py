"""The page of a running service: it follows the collecting, and a reload changes who may read it."""

from __future__ import annotations

import base64
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.support.service_life import START, TODAY, events_in, house, living
from tests.support.statuses import Page, unused_port
from tests.support.world import cloud_of, records_of

YEAR = f"/api/v1/meters/house/hours?year={TODAY.year}"


async def today(page: Page) -> Any:
    """The sums of today."""
    answer = await page.ask(f"/api/v1/meters/house/days?since={TODAY}")
    (day,) = json.loads(answer.body, parse_float=Decimal)["days"]
    return day


async def test_an_hour_is_on_the_page_as_soon_as_it_is_stored(tmp_path: Path) -> None:
    """And the tag of the answer says that it is new."""
    port = unused_port()
    tables: dict[str, Any] = {"schedule": {"backfill_days": 2}, "web": {"listen": port}}
    async with living(cloud_of(), tmp_path / "archive", START, **tables) as service:
        page = Page(port)
        await service.pass_time(minutes=20)
        before, tag = await today(page), (await page.ask(YEAR)).headers["etag"]
        await service.pass_time(hours=1)
        after = await today(page)
        assert after["stored_hours"] == before["stored_hours"] + 1 == after["finished"]
        records = records_of(service.world.folder() / f"{TODAY}.jsonl")
        assert after["consumption_kwh"] == sum(record["consumed"] for record in records)
        again = await page.ask(YEAR, more=f"If-None-Match: {tag}\r\n")
        assert (again.status, again.headers["etag"] == tag) == (200, False)


async def test_the_status_on_the_page_is_that_of_the_service(tmp_path: Path) -> None:
    """It runs, and what it reported of its meter is there."""
    port = unused_port()
    tables: dict[str, Any] = {"schedule": {"backfill_days": 2}, "web": {"listen": port}}
    async with living(cloud_of(), tmp_path / "archive", START, **tables) as service:
        await service.pass_time(hours=1)
        shown = json.loads((await Page(port).ask("/api/v1/status")).body)
        assert shown["service"]["running"] is True
        (meter,) = shown["meters"]
        assert (meter["name"], meter["health"]) == ("house", house(service).state)
        assert meter["days"]["complete"] == 2
        assert meter["archive_in_use"] is True


async def test_a_reload_sets_a_password(tmp_path: Path, log_lines: io.StringIO) -> None:
    """Who read the page before needs it from now on; and it is in no log line."""
    port, file = unused_port(), tmp_path / "password"
    file.write_text("correct horse\n")
    file.chmod(0o600)
    web: dict[str, Any] = {"listen": port}
    async with living(
        cloud_of(), tmp_path / "archive", START, schedule={"backfill_days": 1}, web=web
    ) as service:
        await service.pass_time(minutes=5)
        assert (await Page(port).ask("/api/v1/meters")).status == 200
        web["password_file"] = str(file)
        service.signals.reload.set()
        await service.pass_time(minutes=5)
        assert (await Page(port).ask("/api/v1/meters")).status == 401
        header = base64.b64encode(b"x:correct horse").decode()
        answer = await Page(port).ask("/api/v1/meters", more=f"Authorization: Basic {header}\r\n")
        assert answer.status == 200
    assert "correct horse" not in log_lines.getvalue()


async def test_a_page_without_a_password_that_others_can_reach_is_warned_about(
    tmp_path: Path, log_lines: io.StringIO
) -> None:
    """At the start, in the log."""
    web = {"listen": f"0.0.0.0:{unused_port()}"}
    async with living(
        cloud_of(), tmp_path / "archive", START, schedule={"backfill_days": 1}, web=web
    ) as service:
        await service.pass_time(minutes=1)
    warnings = [each["reason"] for each in events_in(log_lines.getvalue(), "config.warning")]
    assert any("web.listen" in each and "password" in each for each in warnings)
