"""A real browser before the real server. Whatever a test does, the page may not complain in the console,
break its content security policy, or send a request to anywhere else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.house import served_archive

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the archive that is served."""
    return tmp_path_factory.mktemp("page") / "archive"


@pytest.fixture(scope="module")
def url(archive: Path) -> Iterator[str]:
    """Where the page is."""
    with served_archive(archive) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium; the tests are skipped without, and fail under CI."""
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        reason = "needs Chromium and playwright (in the extra dev): apt install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", "--lang=en-GB"]
        )
        yield found
        found.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser had to complain about. A test that expects something clears it."""
    return []


@pytest.fixture
def show(browser: Browser, url: str, complaints: list[str]) -> Iterator[Open]:
    """Opens a view of the page by its address, `show("#show=energy")`, and waits until it is drawn."""
    contexts = []

    def open_page(hash_: str = "", address: str = url, width: int = 1200, **options: Any) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, **{"locale": "en-GB", **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: _check(sent.url, address, complaints))
        page.goto(address + hash_)
        wait_until_drawn(page)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def _check(sent: str, address: str, complaints: list[str]) -> None:
    if not sent.startswith((address, "blob:")):
        complaints.append(f"request to {sent}")


def wait_until_drawn(page: Page) -> None:
    """Waits until the view of the address is shown."""
    page.wait_for_selector("#view:not([aria-busy]) > *")
