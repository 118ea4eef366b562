"""A server, a browser and a page that the tests of a module share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from tests.serving.console.browsing import launch, open_page, serve


@pytest.fixture(scope="module")
def address(bundled_workspace: Workspace) -> Iterator[str]:
    with serve(bundled_workspace, ServingSettings()) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:  # a module's: as long as it lives, its thread can run no other event loop
    with launch() as chromium:
        yield chromium


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page on a wide screen, with its feed shown."""
    with open_page(browser, address) as opened:
        yield opened
