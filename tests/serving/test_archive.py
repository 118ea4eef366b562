from __future__ import annotations

import pytest

from recsys.errors import VersionMismatchError
from recsys.exchange.message import decode_delta
from recsys.storage.registry import BundleRegistry
from serving.archive import MAX_MESSAGES, Archive
from serving.engine import Engine
from tests.bundles import publish_variant


@pytest.fixture
def archive(own_workspace):
    return Archive(own_workspace)


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
