"""The page at /docs comes from this server, whole, and asks no other."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, Request

import serving.reference
from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from serving.routes.reference import SITE
from tests.serving.conftest import problem_of
from tests.serving.console.browsing import CHROMIUM, serve
from tests.serving.console.conftest import address, browser
from tests.serving.page_files import check_vendored, own_files

__all__ = ["address", "browser"]

VENDOR = Path(serving.reference.__file__).parent / "vendor"


def test_the_page_and_all_it_names_are_there(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    named = [part.partition('"')[0] for part in page.text.split('="docs/')[1:]]
    assert named == ["icon.svg", "vendor/swagger-ui.css", "vendor/swagger-ui-bundle.js", "start.js"]
    for name in named:
        assert client.get(f"/docs/{name}").status_code == 200


def test_the_browser_is_told_to_ask_nobody_else(client: TestClient) -> None:
    policy = client.get("/docs").headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "script-src 'self';" in policy


def test_no_own_file_names_an_address_elsewhere() -> None:
    assert set(own_files(SITE)) == {"index.html", "start.js", "icon.svg"}


def test_the_vendored_files_are_those_of_the_checksums() -> None:
    check_vendored(VENDOR)


@pytest.mark.parametrize("name", ["other.js", "vendor/other.js", "__init__.py", "vendor/vendor.sh"])
def test_nothing_else_is_there(client: TestClient, name: str) -> None:
    assert "got another name. Open /docs." in problem_of(client.get(f"/docs/{name}"), 404)["detail"]


@pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Chromium: install the Debian package `chromium`")
def test_in_a_browser_it_shows_every_operation_and_asks_this_server_alone(browser: Browser, address: str) -> None:
    asked: list[Request] = []
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("request", lambda request: asked.append(request))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(address.replace("/console", "/docs"))
    page.wait_for_selector(".opblock-summary-path >> text=rerank", timeout=60_000)
    document = page.evaluate("fetch('openapi.json').then(answer => answer.json())")
    num_operations = sum(len(operations) for operations in document["paths"].values())
    assert page.locator(".opblock").count() == num_operations
    assert page.locator(".btn.authorize").count() == 0
    context.close()
    foreign = [request.url for request in asked if urlsplit(request.url).scheme not in ("data", "blob")]
    assert {urlsplit(url).netloc for url in foreign} == {urlsplit(address).netloc}
    assert complaints == []


@pytest.mark.skipif(CHROMIUM is None, reason="the page is tested in Chromium: install the Debian package `chromium`")
def test_in_a_browser_a_key_that_was_given_is_sent(
    browser: Browser, bundled_workspace: Workspace, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(b"a-device").hexdigest()
    (tmp_path / "keys.toml").write_text(f'[a]\nsha256 = "{sha256}"\nscope = "device"\nrequests_per_s = 9\nburst = 9\n')
    with serve(bundled_workspace, ServingSettings(keys_file=str(tmp_path / "keys.toml"))) as address:
        page = browser.new_page()
        page.goto(address.replace("/console", "/docs"))
        page.click(".btn.authorize", timeout=60_000)
        page.fill(".auth-container input", "a-device")
        page.click(".auth-btn-wrapper .authorize")
        page.click(".auth-btn-wrapper .btn-done")
        operation = page.locator(".opblock", has_text="/v1/bundle").first
        operation.locator(".opblock-summary-control").click()
        operation.locator(".try-out__btn").click()
        with page.expect_response("**/v1/bundle") as answered:
            operation.locator(".execute").click()
        assert answered.value.status == 200
        assert answered.value.request.header_value("authorization") == "Bearer a-device"
        page.close()
