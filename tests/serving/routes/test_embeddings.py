from __future__ import annotations

import numpy as np
import pytest

from recsys.contracts.bundle import EMBEDDINGS_FILE
from recsys.contracts.embeddings import EmbeddingSnapshot
from recsys.exchange.delta import apply_delta
from recsys.exchange.message import MEDIA_TYPE, decode_delta, decode_snapshot
from recsys.storage.registry import BundleRegistry
from recsys.storage.snapshot import read_snapshot, write_snapshot
from tests.bundles import publish_variant
from tests.serving.conftest import problem_of, start

SNAPSHOT = "/v1/embeddings/snapshot"
DELTA = "/v1/embeddings/delta"


def snapshot_of(bundle) -> EmbeddingSnapshot:
    return read_snapshot(bundle.read_bytes(EMBEDDINGS_FILE))


@pytest.mark.parametrize("query", ["", "?codec=float16", "?codec=float32"])
def test_the_snapshot_is_that_of_the_bundle_in_every_codec(client, bundle, query):
    response = client.get(SNAPSHOT + query)
    assert response.status_code == 200
    assert response.headers["content-type"] == MEDIA_TYPE
    assert response.headers["etag"] == f'"{bundle.manifest.embedding_version}"'
    assert decode_snapshot(response.content) == snapshot_of(bundle)


def test_half_precision_is_the_default_and_the_smaller_one(client):
    default = client.get(SNAPSHOT).content
    assert default == client.get(SNAPSHOT, params={"codec": "float16"}).content
    full = client.get(SNAPSHOT, params={"codec": "float32"}).content
    assert len(full) - len(default) == pytest.approx(140 * 16 * 2, abs=64)


@pytest.mark.parametrize("tags", ['"{version}"', 'W/"{version}"', '"other", "{version}"', "*"])
def test_a_snapshot_that_the_device_holds_is_not_sent_again(client, bundle, tags):
    version = bundle.manifest.embedding_version
    response = client.get(SNAPSHOT, headers={"If-None-Match": tags.format(version=version)})
    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == f'"{version}"'


def test_a_snapshot_that_the_device_does_not_hold_is_sent(client):
    assert client.get(SNAPSHOT, headers={"If-None-Match": '"0123456789abcdef"'}).status_code == 200


def test_an_unknown_codec_is_refused(client):
    problem = problem_of(client.get(SNAPSHOT, params={"codec": "int4"}), 422)
    assert problem["errors"] == [{"detail": "Input should be 'float32' or 'float16'", "pointer": "query/codec"}]


def test_a_delta_to_the_same_version_is_no_content(client, bundle):
    response = client.get(DELTA, params={"base": bundle.manifest.embedding_version})
    assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("codec", ["float16", "float32"])
def test_a_delta_leads_from_an_earlier_bundle_to_the_served_one(own_workspace, codec):
    old = BundleRegistry(own_workspace).current()
    middle = publish_variant(own_workspace, num_changed=5, seed=1)
    new = publish_variant(own_workspace, num_changed=3, seed=2)
    with start(own_workspace) as client:
        for base in (old, middle):
            params = {"base": base.manifest.embedding_version, "codec": codec}
            response = client.get(DELTA, params=params)
            assert response.headers["content-type"] == MEDIA_TYPE
            delta = decode_delta(response.content)
            assert apply_delta(snapshot_of(base), delta) == snapshot_of(new)
            assert client.get(DELTA, params=params).content == response.content
        assert len(delta.item_ids) == 3


def test_an_unknown_base_is_told_to_take_the_snapshot(client):
    problem = problem_of(client.get(DELTA, params={"base": "0123456789abcdef"}), 409)
    assert problem["type"] == "urn:tandem:problem:version-mismatch"
    assert "got '0123456789abcdef', a version that no published bundle holds" in problem["detail"]
    assert "Take the snapshot: GET /v1/embeddings/snapshot." in problem["detail"]


def test_a_base_whose_bundle_was_altered_is_as_good_as_unknown(own_workspace):
    old = BundleRegistry(own_workspace).current()
    publish_variant(own_workspace)
    path = old.path(EMBEDDINGS_FILE)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with start(own_workspace) as client:
        problem = problem_of(client.get(DELTA, params={"base": old.manifest.embedding_version}), 409)
        assert "no published bundle holds" in problem["detail"]


def test_a_bundle_with_an_unreadable_manifest_is_passed_over_in_the_search_for_a_base(own_workspace):
    old = BundleRegistry(own_workspace).current()
    middle = publish_variant(own_workspace, seed=1)
    publish_variant(own_workspace, seed=2)
    (middle.root / "manifest.json").write_text("{}")
    with start(own_workspace) as client:
        assert client.get(DELTA, params={"base": old.manifest.embedding_version}).status_code == 200
        problem_of(client.get(DELTA, params={"base": middle.manifest.embedding_version}), 409)


def test_from_vectors_of_another_length_only_the_snapshot_helps(own_workspace):
    registry = BundleRegistry(own_workspace)
    current = registry.current()
    snapshot = snapshot_of(current)
    short = EmbeddingSnapshot(snapshot.item_ids, np.ascontiguousarray(snapshot.vectors[:, :8]))
    facts = {
        "dataset": "synthetic",
        "split_fingerprint": "x",
        "history_length": 20,
        "num_items": len(snapshot.item_ids),
    }
    registry.publish({EMBEDDINGS_FILE: write_snapshot(short)}, embedding_version=short.version, dim=short.dim, **facts)
    own_workspace.current.write_text(current.manifest.version)
    with start(own_workspace) as client:
        problem = problem_of(client.get(DELTA, params={"base": short.version}), 409)
        assert "vectors of length 8, while those of today have 16" in problem["detail"]


@pytest.mark.parametrize("base", ["", "latest", "0123456789ABCDEF", "../../../../etc/passwd", "0" * 17])
def test_a_base_that_is_no_version_is_refused(client, base):
    problem = problem_of(client.get(DELTA, params={"base": base}), 422)
    assert problem["errors"][0]["pointer"] == "query/base"


def test_a_delta_without_a_base_is_refused(client):
    assert problem_of(client.get(DELTA), 422)["errors"] == [{"detail": "Field required", "pointer": "query/base"}]
