"""Laws of a bundle registry.

class TestMyRegistry(RegistryLaws):
    def make(self, root): return MyRegistry(root)
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import BundleError, WorkspaceError
from tests.suites.shared_laws import shared_law

FACTS = {
    "dataset": "synthetic",
    "split_fingerprint": "0123456789abcdef",
    "embedding_version": "fedcba9876543210",
    "dim": 8,
    "history_length": 20,
    "num_items": 3,
}
NAMES = st.text("abcXYZ019_.-", min_size=1, max_size=10).map("f{}".format)
CONTENTS = st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=4)
FILES = {"index.faiss": b"an index", "empty.bin": b"", "tower.tflite": bytes(range(256))}


class RegistryLaws:
    def make(self, root):
        raise NotImplementedError

    @pytest.fixture
    def registry(self, tmp_path):
        return self.make(tmp_path / "workspace")

    @pytest.fixture(scope="class")
    def roomy(self, tmp_path_factory):
        """A registry for many random bundles."""
        return self.make(tmp_path_factory.mktemp("roomy"))

    @pytest.fixture(scope="class")
    def altered(self, tmp_path_factory):
        """A registry with one bundle, which a test alters and mends again."""
        registry = self.make(tmp_path_factory.mktemp("altered"))
        return registry, registry.publish(FILES, **FACTS)

    @shared_law
    @given(CONTENTS, st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False, allow_infinity=False), max_size=3))
    def test_what_was_published_is_what_is_opened(self, roomy, files, metrics):
        published = roomy.publish(files, **FACTS, metrics=metrics)
        opened = roomy.open(published.manifest.version)
        assert opened == published == roomy.current()
        assert {name: opened.read_bytes(name) for name in opened.manifest.files} == files
        assert {name: opened.path(name).read_bytes() for name in opened.manifest.files} == files

    def test_the_manifest_holds_the_facts(self, registry):
        manifest = registry.publish(FILES, **FACTS, parent="0001-0123456789ab", metrics={"recall": 0.5}).manifest
        assert {name: getattr(manifest, name) for name in FACTS} == FACTS
        assert (manifest.parent, dict(manifest.metrics)) == ("0001-0123456789ab", {"recall": 0.5})
        assert {name: entry.size_bytes for name, entry in manifest.files.items()} == {
            "index.faiss": 8,
            "empty.bin": 0,
            "tower.tflite": 256,
        }

    def test_a_file_is_copied_from_where_it_lies(self, registry, tmp_path):
        (tmp_path / "source").write_bytes(b"from a file")
        bundle = registry.publish({"copy.bin": tmp_path / "source"}, **FACTS)
        (tmp_path / "source").write_bytes(b"changed afterwards")
        assert registry.open(bundle.manifest.version).read_bytes("copy.bin") == b"from a file"

    def test_versions_are_numbered_and_the_last_published_is_current(self, registry):
        first, second = (registry.publish({"a.bin": content}, **FACTS).manifest.version for content in (b"1", b"2"))
        assert registry.versions() == [first, second]
        assert (first[:5], second[:5]) == ("0001-", "0002-")
        assert registry.current().manifest.version == registry.current_version() == second

    def test_publishing_the_same_again_points_back_to_it(self, registry):
        first = registry.publish({"a.bin": b"1"}, **FACTS, metrics={"seconds": 1.0})
        registry.publish({"a.bin": b"2"}, **FACTS)
        again = registry.publish({"a.bin": b"1"}, **FACTS, metrics={"seconds": 9.0})
        assert again == first == registry.current()
        assert len(registry.versions()) == 2

    @pytest.mark.parametrize("fact", sorted(FACTS))
    def test_another_fact_is_another_version(self, registry, fact):
        first = registry.publish(FILES, **FACTS)
        other = FACTS[fact] + 1 if isinstance(FACTS[fact], int) else "other"
        second = registry.publish(FILES, **{**FACTS, fact: other})
        assert registry.versions() == [first.manifest.version, second.manifest.version]

    @shared_law
    @given(st.data())
    def test_any_altered_byte_is_refused_and_its_file_named(self, altered, data):
        registry, bundle = altered
        paths = sorted(path for path in bundle.root.iterdir() if path.stat().st_size)
        assert len(paths) == 4  # two files, the manifest and its signature
        path = data.draw(st.sampled_from(paths))
        content = path.read_bytes()
        place, change = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
        damaged = bytearray(content)
        damaged[place] ^= change
        path.write_bytes(damaged)
        try:
            with pytest.raises(BundleError, match=path.name):
                registry.open(bundle.manifest.version)
        finally:
            path.write_bytes(content)
        assert registry.open(bundle.manifest.version) == bundle

    @pytest.mark.parametrize("name", ["index.faiss", "empty.bin", "manifest.json", "manifest.sig"])
    def test_a_missing_file_is_refused_and_named(self, registry, name):
        bundle = registry.publish(FILES, **FACTS)
        (bundle.root / name).unlink()
        with pytest.raises(BundleError, match=name):
            registry.open(bundle.manifest.version)

    @pytest.mark.parametrize("name", ["tower.tflite", "manifest.json", "manifest.sig"])
    @pytest.mark.parametrize("kept", [0, 1, -1])
    def test_a_file_that_is_cut_is_refused_and_named(self, registry, name, kept):
        bundle = registry.publish(FILES, **FACTS)
        path = bundle.root / name
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(BundleError, match=name):
            registry.open(bundle.manifest.version)

    @pytest.mark.parametrize("name", ["index.faiss", "manifest.json", "manifest.sig"])
    def test_a_file_that_grew_is_refused_and_named(self, registry, name):
        bundle = registry.publish(FILES, **FACTS)
        with (bundle.root / name).open("ab") as target:
            target.write(b"\n")
        with pytest.raises(BundleError, match=name):
            registry.open(bundle.manifest.version)

    @pytest.mark.parametrize("extra", ["extra.bin", ".hidden", "index.faiss.bak"])
    def test_an_extra_file_is_refused_and_named(self, registry, extra):
        bundle = registry.publish(FILES, **FACTS)
        (bundle.root / extra).write_bytes(b"")
        with pytest.raises(BundleError, match=f"only files of the manifest .* got also '{extra}'"):
            registry.open(bundle.manifest.version)

    def test_a_file_altered_after_opening_is_refused_when_read(self, registry):
        bundle = registry.publish(FILES, **FACTS)
        bundle.path("index.faiss").write_bytes(b"An index")
        with pytest.raises(BundleError, match=r"index\.faiss with 8 bytes .* The file was altered"):
            bundle.read_bytes("index.faiss")

    def test_a_file_that_the_bundle_has_not_is_refused(self, registry):
        bundle = registry.publish({"a.bin": b""}, **FACTS)
        for ask in (bundle.path, bundle.read_bytes):
            with pytest.raises(BundleError, match=r"Expected the file '\.\./current' in bundle .* got \['a\.bin'\]"):
                ask("../current")

    @pytest.mark.parametrize("name", ["../x", "/x", "a/b", "", ".", "..", ".hidden", "a b", "a\n", "manifest.json"])
    def test_a_name_that_is_no_plain_one_is_not_published(self, registry, name):
        with pytest.raises(BundleError, match="a plain file name"):
            registry.publish({"a.bin": b"", name: b""}, **FACTS)
        assert registry.versions() == []

    @pytest.mark.parametrize("version", ["../0001-0123456789ab", "0001-0123456789ab/..", "", "current", "0001-xyz"])
    def test_a_version_that_is_none_is_refused(self, registry, version):
        registry.publish(FILES, **FACTS)
        with pytest.raises(BundleError, match="a bundle version such as"):
            registry.open(version)

    def test_an_unknown_version_is_refused_with_those_there_are(self, registry):
        version = registry.publish(FILES, **FACTS).manifest.version
        with pytest.raises(BundleError, match=f"bundle 0009-0123456789ab in .*got .'{version}'"):
            registry.open("0009-0123456789ab")

    def test_nothing_published_names_the_command_that_publishes(self, registry):
        assert registry.versions() == []
        for ask in (registry.current, registry.current_version):
            with pytest.raises(WorkspaceError, match=r"a published bundle .* got none. Run `tandem train --workspace"):
                ask()

    def test_publishing_nothing_is_refused(self, registry):
        with pytest.raises(BundleError, match="at least one file"):
            registry.publish({}, **FACTS)

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_a_metric_that_is_not_finite_is_refused(self, registry, value):
        with pytest.raises(BundleError, match="finite `metrics`"):
            registry.publish(FILES, **FACTS, metrics={"loss": value})

    def test_a_missing_source_is_named_and_nothing_appears(self, registry, tmp_path):
        before = registry.publish({"a.bin": b"1"}, **FACTS)
        with pytest.raises(WorkspaceError, match=r"the file .*absent\.bin to publish as b\.bin, got none"):
            registry.publish({"a.bin": b"2", "b.bin": tmp_path / "absent.bin"}, **FACTS)
        assert registry.versions() == [before.manifest.version]
        assert registry.current() == before

    def test_many_threads_may_publish_the_same_and_get_one_version(self, registry):
        with ThreadPoolExecutor(8) as threads:
            bundles = list(threads.map(lambda _: registry.publish(FILES, **FACTS), range(8)))
        assert bundles == [registry.current()] * 8
        assert registry.versions() == [bundles[0].manifest.version]

    def test_many_threads_may_publish_at_once_and_each_gets_its_number(self, registry):
        with ThreadPoolExecutor(8) as threads:
            bundles = list(threads.map(lambda number: registry.publish({"a.bin": bytes([number])}, **FACTS), range(8)))
        assert [version[:5] for version in registry.versions()] == [f"{number:04d}-" for number in range(1, 9)]
        assert sorted(bundle.manifest.version for bundle in bundles) == registry.versions()
        assert all(registry.open(bundle.manifest.version) == bundle for bundle in bundles)
