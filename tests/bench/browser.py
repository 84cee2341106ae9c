"""A headless Chromium for the tests of the report's page, where the machine has one."""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextlib.contextmanager
def launched() -> Iterator[Any]:
    """A browser; the test is skipped, saying why, where playwright or a Chromium is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: the report's page is not tested")
    program = next(filter(None, map(shutil.which, NAMES)), None)
    with api.sync_playwright() as playwright:
        if program is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip(f"no browser ({', '.join(NAMES)} or playwright's own): the report's page is not tested")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Any, path: Path, *, viewport: dict[str, int] = WIDE, theme: str = "light") -> Iterator[Any]:
    """The page of a file; fails at the end if anything was written to its console or asked from elsewhere."""
    context = browser.new_context(viewport=viewport, color_scheme=theme, reduced_motion="reduce", offline=True)
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.resolve().as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    yield page
    context.close()
    assert complaints == []
    assert [url for url in asked if not url.startswith(("data:", "blob:")) and not url.endswith(path.name)] == []
