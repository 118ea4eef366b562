"""A real server of the page, a real Chromium, and what is done in it."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import uvicorn
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from serving.app import create_app

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
CHROMIUM = shutil.which("chromium")
ROW = "#device-list .row"
PANELS = ("feed", "rounds", "bundles", "quality")
NEEDS_CHROMIUM = pytest.mark.skipif(
    CHROMIUM is None, reason="the page is tested in Chromium: install the Debian package `chromium`"
)


@contextmanager
def serve(workspace: Workspace, settings: ServingSettings) -> Iterator[str]:
    """Serves from a thread; yields the address of the page."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        application = create_app(workspace, settings)
        server = uvicorn.Server(uvicorn.Config(application, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/console"
        server.should_exit = True
        thread.join()


@contextmanager
def launch() -> Iterator[Browser]:
    """Starts Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@contextmanager
def open_page(
    browser: Browser, address: str, width: int = 1280, theme: str = "light", let_axe_in: bool = False
) -> Iterator[Page]:
    """Opens the page with its feed shown; only past the page's policy does axe come in."""
    context = browser.new_context(
        viewport={"width": width, "height": 844}, color_scheme=theme, reduced_motion="reduce", bypass_csp=let_axe_in
    )
    yield visit(context.new_page(), address)
    context.close()


def visit(page: Page, address: str) -> Page:
    page.goto(address)
    page.wait_for_selector(ROW, timeout=60_000)
    return page


def show(page: Page, panel: str) -> None:
    """Opens a panel and waits for it, its charts included."""
    page.click(f"#tab-{panel}")
    page.wait_for_selector(f"#{panel} h2")
    page.wait_for_function(
        "panel => [...document.querySelectorAll(`#${panel} .chart`)].every((chart) => chart.firstChild)", arg=panel
    )


def read_order(page: Page, of: str = "device") -> list[str]:
    return page.eval_on_selector_all(f"#{of}-list .row", "rows => rows.map(row => row.dataset.item)")


def act(page: Page, place: int, action: str) -> str:
    """Acts on a row and waits for the new order; returns the item."""
    row = page.locator(ROW).nth(place)
    item_id = row.get_attribute("data-item")
    done = page.evaluate("tandem.timings.length")
    row.locator(f"[data-action={action}]").click()
    page.wait_for_function("done => tandem.timings.length > done", arg=done)
    return item_id


def find_faults(page: Page) -> list[tuple[str, list[str]]]:
    """Returns the serious and critical faults that axe finds, each with its elements."""
    violations = Axe().run(page).response["violations"]
    grave = [found for found in violations if found["impact"] in ("serious", "critical")]
    return [(found["id"], [node["html"] for node in found["nodes"]]) for found in grave]
