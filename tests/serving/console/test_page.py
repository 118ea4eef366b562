"""The page in a real Chromium, against a real server; skipped with the reason where there is no Chromium."""

from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Request

from recsys.cascade.rerank import QueryEncoder, Reranker
from recsys.config.serving import ServingSettings
from recsys.contracts.bundle import DEVICE_TOWER_FILE, QUERY_TOWER_FILE
from recsys.storage.registry import Bundle
from recsys.storage.workspace import Workspace
from serving.engine import Engine
from tests.serving.console.browsing import (
    NEEDS_CHROMIUM,
    PANELS,
    ROW,
    act,
    find_faults,
    open_page,
    read_order,
    serve,
    show,
    visit,
)

pytestmark = NEEDS_CHROMIUM


def test_the_towers_in_the_browser_score_as_litert_does(page: Page, bundle: Bundle) -> None:
    rng = np.random.default_rng(3)
    encoder = QueryEncoder(bundle.read_bytes(QUERY_TOWER_FILE))
    reranker = Reranker(bundle.read_bytes(DEVICE_TOWER_FILE))
    for num_candidates, num_items in ((1, 0), (7, 3), (50, 30), (33, 200)):
        dim = bundle.manifest.dim
        candidates, history = (rng.normal(size=(num, dim)).astype(np.float32) for num in (num_candidates, num_items))
        scores = rng.normal(scale=5, size=num_candidates).astype(np.float32)
        query = encoder.encode(history)
        found = page.evaluate(
            """async ([candidates, scores, history]) => {
                const { encoder, reranker } = tandem.state.parts;
                const vectors = (rows) => rows.map((row) => Float32Array.from(row));
                const query = await encoder.encode(vectors(history));
                const fresh = await reranker.rerank(vectors(candidates), scores, query, vectors(history));
                return [[...query], [...fresh]];
            }""",
            [candidates.tolist(), scores.tolist(), history.tolist()],
        )
        np.testing.assert_allclose(found[0], query, atol=1e-4)
        np.testing.assert_allclose(found[1], reranker.rerank(candidates, scores, query, history), atol=1e-4)


def test_the_browser_holds_the_vectors_of_the_snapshot(page: Page, engine: Engine) -> None:
    item_ids = engine.snapshot.item_ids
    found = page.evaluate(
        "ids => [tandem.state.parts.cache.version, ids.map((id) => [...tandem.state.parts.cache.vector(id)])]",
        list(item_ids),
    )
    assert found[0] == engine.snapshot.version
    np.testing.assert_array_equal(np.asarray(found[1], np.float32), engine.snapshot.vectors)


def test_a_tap_brings_the_hosted_towers_order_and_no_call_goes_out(page: Page, engine: Engine) -> None:
    sent: list[str] = []

    def note(request: Request) -> None:
        sent.append(request.url)

    page.on("request", note)
    liked = act(page, 3, "like")
    skipped = act(page, 2, "skip")
    opened = act(page, 0, "click")
    page.wait_for_timeout(300)
    assert sent == []
    assert page.inner_text("#calls") == "0"
    state = page.evaluate(
        "({ candidates: tandem.state.candidates, history: tandem.state.device.positives(), "
        "order: tandem.state.order.map((item) => item.item_id) })"
    )
    assert state["history"][-2:] == [liked, opened]
    kept = [item for item in state["candidates"] if item["item_id"] not in {liked, skipped, opened}]
    indexes = engine.cloud.catalogue.index_of([item["item_id"] for item in kept])
    past = engine.cloud.catalogue.index_of(state["history"])
    vectors = engine.cloud.vectors
    scores = engine.reranker.rerank(
        vectors[indexes],
        np.asarray([item["score"] for item in kept], np.float32),
        engine.cloud.encode(past),
        vectors[past],
    )
    by_place = {item["item_id"]: score for item, score in zip(kept, scores.tolist(), strict=True)}
    assert set(state["order"]) == set(by_place)
    ordered = [by_place[item_id] for item_id in state["order"]]
    assert all(left >= right - 1e-4 for left, right in itertools.pairwise(ordered))
    assert read_order(page) == state["order"][:10]


def test_asking_with_a_query_vector_sends_the_vector_and_no_item(page: Page, bundle: Bundle) -> None:
    act(page, 1, "like")
    page.get_by_label("a query vector").check()
    with page.expect_request("**/v1/recommend") as asked:
        page.click("#ask")
    body = asked.value.post_data_json
    assert set(body) == {"surface", "count", "query_vector"}
    assert len(body["query_vector"]) == bundle.manifest.dim


def test_asking_with_an_id_tells_the_cloud_nothing_of_the_taps(page: Page) -> None:
    liked = act(page, 1, "like")
    with page.expect_request("**/v1/recommend") as asked:
        page.click("#ask")
    assert set(asked.value.post_data_json) == {"surface", "count", "user_id", "exclude_ids"}
    assert liked not in asked.value.post_data


def test_the_live_surface_shows_open_rooms_that_may_be_watched_again(page: Page) -> None:
    page.get_by_label("Live", exact=True).check()
    page.wait_for_selector(f"{ROW} em")
    assert read_order(page)
    watched = act(page, 0, "click")
    assert watched in read_order(page)


def test_a_newcomer_gets_a_feed(page: Page) -> None:
    with page.expect_request("**/v1/recommend") as asked:
        page.select_option("#person", "")
    assert asked.value.post_data_json["history"] == []
    page.wait_for_function("tandem.state.device.log.length === 0 && tandem.state.order.length > 0")


def test_the_page_works_by_keyboard(page: Page) -> None:
    page.focus("#tab-feed")
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.id") == "tab-quality"
    page.wait_for_selector("#quality h2")
    assert page.is_hidden("#feed")
    page.keyboard.press("Home")
    assert page.is_visible("#feed")
    first = read_order(page)[0]
    page.locator(ROW).first.locator("[data-action=like]").focus()
    page.keyboard.press("Enter")
    page.wait_for_function("tandem.timings.length === 1")
    assert first not in read_order(page)
    assert page.evaluate("document.activeElement.dataset.action") == "like"


def test_the_lists_are_as_high_as_their_rows_whatever_was_shown_before(page: Page) -> None:
    measure = (
        "['links', 'device-list', 'orders'].map((id) => document.getElementById(id).getBoundingClientRect().height)"
    )
    links, rows, orders = page.evaluate(measure)
    assert rows < links < rows + 40  # a heading
    page.click("#more")
    assert page.evaluate(measure)[1] > 3 * rows
    page.click("#more")
    assert page.evaluate(measure) == [links, rows, orders]
    show(page, "bundles")
    show(page, "feed")
    assert page.evaluate(measure) == [links, rows, orders]


def test_looking_at_the_feed_again_is_no_call(page: Page) -> None:
    act(page, 1, "like")
    page.click("#tab-feed")
    page.wait_for_timeout(500)
    assert page.inner_text("#calls") == "0"


def test_the_theme_follows_the_system_until_one_is_chosen(browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = visit(context.new_page(), address)
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.click("#theme")
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light
    context.close()


def test_an_empty_workspace_says_which_command_fills_each_panel(page: Page) -> None:
    page.click("#tab-rounds")
    assert "tandem federate" in page.locator("#rounds .command").inner_text()
    page.click("#tab-quality")
    assert "tandem evaluate" in page.locator("#quality .command").inner_text()
    page.click("#tab-bundles")
    page.wait_for_selector("#bundles table")
    assert "served" in page.inner_text("#bundles")


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_panel_overflows_or_breaks_a_rule_of_accessibility(
    width: int, theme: str, browser: Browser, address: str
) -> None:
    with open_page(browser, address, width, theme, let_axe_in=True) as page:
        act(page, 1, "like")
        for panel in PANELS:
            show(page, panel)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert find_faults(page) == []


def test_where_keys_are_wanted_the_page_asks_for_one_until_it_has_one_that_holds(
    browser: Browser, bundled_workspace: Workspace, tmp_path: Path
) -> None:
    table = '[{}]\nsha256 = "{}"\nscope = "{}"\nrequests_per_s = 1000\nburst = 1000\n'
    keys = {"device": "a-device", "admin": "an-admin"}
    tables = (table.format(scope, hashlib.sha256(key.encode()).hexdigest(), scope) for scope, key in keys.items())
    (tmp_path / "keys.toml").write_text("".join(tables))
    context = browser.new_context(viewport={"width": 390, "height": 844}, reduced_motion="reduce", bypass_csp=True)
    with serve(bundled_workspace, ServingSettings(keys_file=str(tmp_path / "keys.toml"))) as address:
        page = context.new_page()
        page.goto(address)
        for key, reason in (
            ("", "got none that it knows"),
            ("wrong", "got none that it knows"),
            (keys["device"], "Expected a key of the scope `admin` here, got `device`"),
        ):
            if key:
                page.fill("#key", key)
                page.press("#key", "Enter")
            page.wait_for_function(
                "words => document.querySelector('#key-reason').textContent.includes(words)", arg=reason
            )
            page.wait_for_selector("#key-dialog[open]")
        assert find_faults(page) == []
        page.fill("#key", keys["admin"])
        page.click("#key-give")
        page.wait_for_selector(ROW, timeout=60_000)
        assert page.evaluate("document.querySelector('#key-dialog').open") is False
        page.click("#tab-bundles")
        page.wait_for_selector("#bundles h2")
    context.close()
