from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.contracts.bundle import FileEntry, Manifest
from recsys.errors import BundleError

ENTRIES = st.builds(FileEntry, st.text("0123456789abcdef", min_size=64, max_size=64), st.integers(0, 2**40))
MANIFESTS = st.builds(
    Manifest,
    version=st.text(max_size=9),
    created_ms=st.integers(0, 2**41),
    dataset=st.text(max_size=9),
    split_fingerprint=st.text(max_size=9),
    embedding_version=st.text(max_size=9),
    dim=st.integers(1, 512),
    history_length=st.integers(1, 512),
    num_items=st.integers(1, 10**9),
    files=st.dictionaries(st.text(max_size=9), ENTRIES, max_size=3),
    parent=st.none() | st.text(max_size=9),
    metrics=st.dictionaries(st.text(max_size=9), st.floats(allow_nan=False), max_size=3),
)


@given(MANIFESTS)
def test_a_manifest_survives_its_text(manifest):
    assert Manifest.from_json(manifest.to_json()) == manifest


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', '{"schema_version": 2, "files": 3}', "null"])
def test_text_that_is_no_manifest_is_refused(text):
    with pytest.raises(BundleError, match="Expected a bundle manifest, got text that is none"):
        Manifest.from_json(text)


def test_a_manifest_of_another_schema_version_is_refused_with_the_cure():
    text = json.dumps({"schema_version": 99})
    with pytest.raises(BundleError, match=r"schema version 2, got 99\. Publish the bundle again"):
        Manifest.from_json(text)
