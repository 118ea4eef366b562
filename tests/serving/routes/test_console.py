from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient

import serving.console
from recsys.cascade.rooms import RoomSchedule
from recsys.storage.registry import BundleRegistry
from recsys.storage.session_store import SQLiteSessionStore
from recsys.storage.workspace import Workspace
from serving.routes.console import SITE, find_busy_moment
from serving.service import SESSIONS_FILE
from tests.bundles import publish_variant
from tests.serving.conftest import problem_of, start
from tests.serving.page_files import check_vendored, own_files

VENDOR = Path(serving.console.__file__).parent / "vendor"
WASM = "vendor/litert_wasm_compat_internal.wasm"


def test_the_page_may_talk_to_its_own_server_alone(client: TestClient) -> None:
    answer = client.get("/console")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "connect-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"} <= set(policy)


def test_a_file_that_the_browser_holds_is_not_sent_again(client: TestClient) -> None:
    tag = client.get("/console/app.js").headers["etag"]
    assert client.get("/console/app.js", headers={"If-None-Match": tag}).status_code == 304


def test_a_packed_file_arrives_whole_with_and_without_compression(client: TestClient) -> None:
    packed = client.get(f"/console/{WASM}", headers={"Accept-Encoding": "gzip"})
    plain = client.get(f"/console/{WASM}", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert plain.content[:4] == b"\0asm"


@pytest.mark.parametrize("name", ["other.js", "files.py", "..%2fapp.py", "vendor/vendor.sh", "vendor/LICENSE"])
def test_only_files_of_the_page_are_sent(name: str, client: TestClient) -> None:
    answer = client.get(f"/console/{name}")
    assert answer.status_code == 404


def test_an_unknown_file_is_told_what_to_do(client: TestClient) -> None:
    problem = problem_of(client.get("/console/other.js"), 404)
    assert problem["detail"] == "Expected a file of the page /console, got another name. Open /console."


def test_the_vendored_files_are_those_of_the_checksums() -> None:
    check_vendored(VENDOR)


def test_no_own_file_of_the_page_names_an_address_elsewhere() -> None:
    assert len(own_files(SITE)) > 10


def test_the_start_names_people_with_a_consented_history(client: TestClient, bundled_workspace: Workspace) -> None:
    store = SQLiteSessionStore(bundled_workspace.state / SESSIONS_FILE, 200)
    expected = store.user_ids(50)
    store.close()
    answer = client.get("/console/api/start").json()
    assert answer["people"] == expected
    assert expected == sorted(expected)
    assert answer["bundle_version"] == BundleRegistry(bundled_workspace).current_version()


def test_a_person_is_what_the_cloud_holds_and_a_stranger_is_nothing(own_workspace: Workspace) -> None:
    store = SQLiteSessionStore(own_workspace.state / SESSIONS_FILE, 200)
    store.replace({"ada/b c": ["i1", "i2"]})
    store.close()
    with start(own_workspace) as client:
        assert client.get("/console/api/people/ada%20b").json() == []
        assert client.get("/console/api/people/ada").json() == []
    store = SQLiteSessionStore(own_workspace.state / SESSIONS_FILE, 200)
    store.replace({"ada": ["i1", "i2"]})
    store.close()
    with start(own_workspace) as client:
        assert client.get("/console/api/people/ada").json() == ["i1", "i2"]


def test_a_workspace_without_sessions_names_nobody(own_workspace: Workspace) -> None:
    for path in own_workspace.state.iterdir():
        path.unlink()
    with start(own_workspace) as client:
        assert client.get("/console/api/start").json()["people"] == []


def test_items_are_named_in_the_order_asked_for_and_unknown_ones_left_out(client: TestClient) -> None:
    recommended = client.post("/v1/recommend", json={"surface": "feed", "count": 2, "history": []}).json()
    first, second = (candidate["item_id"] for candidate in recommended["candidates"])
    answer = client.get("/console/api/items", params={"id": [second, "nobody", first]}).json()
    assert [item["item_id"] for item in answer] == [second, first]
    assert all(item["title"] and item["surface"] == "feed" for item in answer)


def test_more_than_200_titles_at_once_are_refused(client: TestClient) -> None:
    assert client.get("/console/api/items", params={"id": ["i"] * 200}).json() == []
    problem_of(client.get("/console/api/items", params={"id": ["i"] * 201}), 422)


def test_rounds_are_read_with_figures_of_cohorts_alone_up_to_a_line_that_is_broken(own_workspace: Workspace) -> None:
    run = own_workspace.federated / "0099-000000000000-0123abcd"
    run.mkdir(parents=True)
    line = {"round_number": 1, "num_clients": 9, "ndcg_at_10": 0.25, "bytes_down": 40, "bytes_up": 12}
    later = line | {"epsilon": 1.5}
    texts = (json.dumps(line | {"user_ids": ["secret"]}), json.dumps(later), "{broken", json.dumps(line))
    (run / "rounds.jsonl").write_text("\n".join(texts))
    with start(own_workspace) as client:
        (found,) = client.get("/console/api/rounds").json()
    nothing = dict.fromkeys(("algorithm", "aggregator", "delta"))
    assert found == {"name": run.name, "base_version": "0099-000000000000", "rounds": [line, later], **nothing}


NOTED = {"rounds": {"algorithm": "fed_adam"}, "aggregation": {"kind": "secure"}, "privacy": {"delta": 1e-5}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (json.dumps(NOTED), ["fed_adam", "secure", 1e-5]),
        (json.dumps(NOTED | {"rounds": [], "aggregation": {"kind": 3}}), [None, None, 1e-5]),
        (json.dumps(NOTED | {"privacy": {"delta": math.nan}}), ["fed_adam", "secure", None]),
        ("[]", [None, None, None]),
        ("{broken", [None, None, None]),
    ],
)
def test_a_run_tells_what_it_noted_of_its_settings(text: str, expected: list[object], own_workspace: Workspace) -> None:
    run = own_workspace.federated / "0099-000000000000-0123abcd"
    run.mkdir(parents=True)
    (run / "rounds.jsonl").write_text('{"round_number": 1}\n')
    (run / "settings.json").write_text(text)
    with start(own_workspace) as client:
        (found,) = client.get("/console/api/rounds").json()
    assert [found[name] for name in ("algorithm", "aggregator", "delta")] == expected


def test_a_run_without_a_finished_round_is_not_shown(own_workspace: Workspace) -> None:
    for name, text in (("0001-000000000000-0a", "[]\n"), ("0002-000000000000-0b", '{"round_number": 1}\n[]\n')):
        run = own_workspace.federated / name
        run.mkdir(parents=True)
        (run / "rounds.jsonl").write_text(text)
    with start(own_workspace) as client:
        (found,) = client.get("/console/api/rounds").json()
    assert found["rounds"] == [{"round_number": 1}]


def test_bundles_tell_what_is_served_what_is_damaged_and_what_was_swapped(own_workspace: Workspace) -> None:
    registry = BundleRegistry(own_workspace)
    first = registry.current_version()
    with start(own_workspace) as client:
        second = publish_variant(own_workspace).manifest.version
        client.app.state.service.deployment.refresh()
        (own_workspace.bundles / first / "manifest.json").write_text("{}")
        own_workspace.current.write_text("nonsense\n")
        client.app.state.service.deployment.refresh()
        answer = client.get("/console/api/bundles").json()
    assert (answer["served"], answer["pointer"]) == (second, None)
    assert [bundle["version"] for bundle in answer["bundles"]] == [second, first]
    newest, damaged = answer["bundles"]
    assert newest["size_bytes"] == sum(entry["size_bytes"] for entry in newest["manifest"]["files"].values())
    assert damaged["manifest"] is None
    assert damaged["reason"].startswith("Expected a bundle manifest, got text that is none")
    assert [(swap["outcome"], swap["version"]) for swap in answer["swaps"]] == [
        ("refused", "nonsense"),
        ("served", second),
        ("served", first),
    ]


def test_quality_shows_the_latest_report_first_and_nothing_but_figures(own_workspace: Workspace) -> None:
    own_workspace.reports.mkdir(exist_ok=True)
    report = {"bundle_version": "0001-0", "seed": 0, "arms": {}, "user_ids": ["secret"]}
    (own_workspace.reports / "evaluate-a.json").write_text(json.dumps(report))
    (own_workspace.reports / "evaluate-b.json").write_text(json.dumps(report | {"seed": 1}))
    (own_workspace.reports / "evaluate-c.json").write_text("{broken")
    (own_workspace.reports / "train-d.json").write_text(json.dumps(report))
    with start(own_workspace) as client:
        found = client.get("/console/api/quality").json()
    assert [entry["name"] for entry in found] == ["evaluate-b.json", "evaluate-a.json"]
    assert all("user_ids" not in entry for entry in found)


def test_the_consoles_routes_stand_in_no_document(document: dict[str, object]) -> None:
    assert [path for path in document["paths"] if path.startswith("/console")] == []


def test_without_an_open_room_the_latest_busiest_moment_is_shown() -> None:
    # Rooms 10–40, 20–40 and 30–35: three are open at 30. Then 50–60 alone.
    rooms = RoomSchedule(("a", "b", "c", "d"), *map(np.asarray, ([1, 2, 3, 4], [10, 20, 30, 50], [40, 40, 35, 60])))
    assert find_busy_moment(rooms, 70) == 30
    assert find_busy_moment(rooms, 55) is None
    assert find_busy_moment(RoomSchedule((), *[np.zeros(0, np.int64)] * 3), 55) is None
