from __future__ import annotations

import pytest

from recsys.errors import VersionMismatchError
from recsys.exchange.message import decode_delta
from recsys.storage.registry import BundleRegistry
from serving.archive import MAX_MESSAGES, Archive
from serving.engine import Engine
from serving.observation import Metrics
from tests.bundles import publish_variant
from tests.serving.conftest import metric, start


@pytest.fixture
def archive(own_workspace):
    return Archive(own_workspace, Metrics(lambda: 0.0))


def test_a_message_is_made_once(archive, engine):
    assert archive.snapshot(engine, "float16") is archive.snapshot(engine, "float16")
    assert archive.snapshot(engine, "float16") is not archive.snapshot(engine, "float32")


def test_few_messages_are_kept_those_asked_for_last(archive, own_workspace):
    bases = [BundleRegistry(own_workspace).current().manifest.embedding_version]
    for seed in range(MAX_MESSAGES):
        bases.append(publish_variant(own_workspace, seed=seed).manifest.embedding_version)
    engine = Engine.load(BundleRegistry(own_workspace).current())
    first = archive.delta(engine, bases[0], "float16")
    for base in bases[1:MAX_MESSAGES]:
        archive.delta(engine, base, "float16")
    assert archive.delta(engine, bases[0], "float16") is first
    archive.snapshot(engine, "float16")
    assert archive.delta(engine, bases[0], "float16") is first
    assert len(archive._messages) == MAX_MESSAGES


def test_a_bundle_published_after_the_first_look_is_found(archive, own_workspace, engine):
    unknown = "0123456789abcdef"
    with pytest.raises(VersionMismatchError, match="no published bundle holds"):
        archive.delta(engine, unknown, "float16")
    variant = publish_variant(own_workspace)
    delta = decode_delta(archive.delta(engine, variant.manifest.embedding_version, "float16"))
    assert delta.version == engine.manifest.embedding_version


def test_a_refusal_is_not_kept(archive, own_workspace, engine):
    for _ in range(2):
        with pytest.raises(VersionMismatchError, match="Take the snapshot"):
            archive.delta(engine, "0123456789abcdef", "float16")
    assert archive._messages == {}


def test_what_was_there_and_what_had_to_be_made_is_counted(own_workspace):
    with start(own_workspace) as client:
        assert looked_up(client) == {"archive": (0, 0), "client": (0, 0)}
        tag = client.get("/v1/embeddings/snapshot").headers["etag"]
        assert looked_up(client) == {"archive": (0, 1), "client": (0, 0)}
        client.get("/v1/embeddings/snapshot")
        assert looked_up(client) == {"archive": (1, 1), "client": (0, 0)}
        assert client.get("/v1/embeddings/snapshot", headers={"If-None-Match": tag}).status_code == 304
        assert looked_up(client) == {"archive": (1, 1), "client": (1, 0)}
        for path in ("/v1/embeddings/snapshot", "/v1/bundle/files/device_tower.tflite", "/docs"):
            assert client.get(path, headers={"If-None-Match": '"of-long-ago"'}).status_code == 200
        assert looked_up(client) == {"archive": (2, 1), "client": (1, 3)}


def looked_up(client):
    """Returns hits and misses of each cache."""

    def count(cache, outcome):
        return int(metric(client, f'tandem_cache_lookups_total{{cache="{cache}",outcome="{outcome}"}}'))

    return {cache: (count(cache, "hit"), count(cache, "miss")) for cache in ("archive", "client")}
