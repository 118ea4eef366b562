from __future__ import annotations

import dataclasses
import shutil

import pytest

from recsys.contracts.bundle import FileEntry, Manifest
from recsys.errors import BundleError, WorkspaceError
from recsys.storage.registry import BundleRegistry
from recsys.storage.signature import Signer
from recsys.storage.workspace import Workspace
from tests.recsys.storage.steps import publish_beyond_limit, run_child
from tests.suites.bundle import FACTS, FILES, RegistryLaws


class TestBundleRegistry(RegistryLaws):
    def make(self, root):
        return BundleRegistry(Workspace(root))


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def registry(workspace):
    return BundleRegistry(workspace)


def sign_anew(workspace: Workspace, manifest: Manifest) -> None:
    """What a careless publisher, who has the key, could do."""
    text, root = manifest.to_json().encode(), workspace.bundles / manifest.version
    (root / "manifest.json").write_bytes(text)
    (root / "manifest.sig").write_bytes(Signer(workspace.keys).sign(text))


def test_nothing_but_the_bundle_the_keys_and_the_pointer_appears(registry, workspace):
    bundle = registry.publish(FILES, **FACTS)
    assert sorted(path.name for path in workspace.root.iterdir()) == ["bundles", "current", "keys"]
    assert sorted(path.name for path in workspace.bundles.iterdir()) == [".lock", bundle.manifest.version]
    assert sorted(path.name for path in bundle.root.iterdir()) == sorted([*FILES, "manifest.json", "manifest.sig"])
    assert workspace.current.read_text() == f"{bundle.manifest.version}\n"


def test_a_reader_needs_the_public_key_alone(registry, workspace):
    bundle = registry.publish(FILES, **FACTS)
    (workspace.keys / "bundle.key").unlink()
    assert registry.current() == bundle


def test_a_bundle_signed_by_an_unknown_key_is_refused(registry, workspace, tmp_path):
    bundle = registry.publish(FILES, **FACTS)
    Signer(tmp_path / "others")
    shutil.copy(tmp_path / "others" / "bundle.pub", workspace.keys / "bundle.pub")
    with pytest.raises(BundleError, match=r"manifest\.json to be signed .* an unknown key signed it"):
        registry.open(bundle.manifest.version)


def test_without_a_public_key_no_bundle_is_opened(registry, workspace):
    registry.publish(FILES, **FACTS)
    shutil.rmtree(workspace.keys)
    with pytest.raises(BundleError, match=r"the publisher's public key at .*bundle\.pub, got none"):
        registry.current()


def test_an_older_bundle_under_the_name_of_a_newer_one_is_refused(registry, workspace):
    old, new = (registry.publish({"a.bin": content}, **FACTS) for content in (b"1", b"2"))
    shutil.rmtree(new.root)
    shutil.copytree(old.root, new.root)
    with pytest.raises(BundleError, match=f"Expected version {new.manifest.version} in .* got {old.manifest.version}"):
        registry.current()


@pytest.mark.parametrize("name", ["../../keys/bundle.pub", "/etc/hostname", "..", ".lock", "a/b"])
def test_a_signed_manifest_that_names_files_elsewhere_is_refused(registry, workspace, name):
    manifest = registry.publish(FILES, **FACTS).manifest
    sign_anew(workspace, dataclasses.replace(manifest, files={**manifest.files, name: FileEntry("0" * 64, 0)}))
    with pytest.raises(BundleError, match="Expected plain file names in"):
        registry.open(manifest.version)


def test_a_link_in_the_place_of_a_file_is_refused(registry, tmp_path):
    bundle = registry.publish(FILES, **FACTS)
    (tmp_path / "elsewhere").write_bytes(FILES["index.faiss"])
    bundle.path("index.faiss").unlink()
    bundle.path("index.faiss").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"index\.faiss to be a plain file, got a link or folder"):
        registry.open(bundle.manifest.version)


def test_a_folder_in_the_place_of_a_file_is_refused(registry):
    bundle = registry.publish(FILES, **FACTS)
    bundle.path("empty.bin").unlink()
    bundle.path("empty.bin").mkdir()
    with pytest.raises(BundleError, match=r"empty\.bin to be a plain file"):
        registry.open(bundle.manifest.version)


def test_a_signed_text_that_is_no_manifest_is_refused(registry, workspace):
    bundle = registry.publish(FILES, **FACTS)
    for text in (b"", b"{}", b"[]", b"\xff"):
        (bundle.root / "manifest.json").write_bytes(text)
        (bundle.root / "manifest.sig").write_bytes(Signer(workspace.keys).sign(text))
        with pytest.raises(BundleError, match="Expected a bundle manifest, got text that is none"):
            registry.open(bundle.manifest.version)


@pytest.mark.parametrize("text", ["", "\n", "0001", "../keys", "0001-0123456789ab 0002-0123456789ab", "\xff\xfe"])
def test_a_pointer_that_names_no_version_is_refused(registry, workspace, text):
    bundle = registry.publish(FILES, **FACTS)
    workspace.current.write_bytes(text.encode("latin-1"))
    with pytest.raises(
        BundleError, match=rf"a bundle version in .*current, got .* Write one of \['{bundle.root.name}'"
    ):
        registry.current()


def test_a_pointer_to_a_version_that_is_gone_is_refused(registry):
    bundle = registry.publish(FILES, **FACTS)
    shutil.rmtree(bundle.root)
    with pytest.raises(BundleError, match=rf"bundle {bundle.manifest.version} in .*got no bundle"):
        registry.current()


def test_publishing_a_damaged_bundle_again_mends_it_under_the_next_number(registry):
    damaged = registry.publish(FILES, **FACTS)
    damaged.path("index.faiss").write_bytes(b"An index")
    mended = registry.publish(FILES, **FACTS)
    assert mended.manifest.version == "0002-" + damaged.manifest.version[5:]
    assert registry.current() == mended
    assert registry.publish(FILES, **FACTS) == mended


def test_folders_that_are_no_bundles_are_not_listed(registry, workspace):
    version = registry.publish(FILES, **FACTS).manifest.version
    for name in ("notes", "0001", ".new.00.partial", "0002-0123456789AB"):
        (workspace.bundles / name).mkdir()
    (workspace.bundles / "0003-0123456789ab").write_bytes(b"a file")
    assert registry.versions() == [version]


def test_versions_are_in_the_order_of_their_numbers(registry, workspace):
    for name in ("10000-0123456789ab", "9999-ba9876543210", "0002-000000000000"):
        (workspace.bundles / name).mkdir(parents=True)
    assert registry.versions() == ["0002-000000000000", "9999-ba9876543210", "10000-0123456789ab"]
    assert registry.publish(FILES, **FACTS).manifest.version.startswith("10001-")


def test_a_full_disk_leaves_the_current_bundle_in_use(registry, workspace, tmp_path):
    before = registry.publish({"a.bin": b"1"}, **FACTS)
    assert run_child(publish_beyond_limit, workspace.root, 20_000, 15_000, tmp_path / "report") == 0
    report = (tmp_path / "report").read_text(encoding="utf-8")
    assert report.startswith("Expected to write 30000 bytes to ")
    assert "b.bin, got: File too large. Nothing was changed. Free that much space there" in report
    assert registry.current() == before
    assert sorted(path.name for path in workspace.bundles.iterdir()) == [".lock", before.manifest.version]


def test_a_workspace_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WorkspaceError, match=r"file/bundles/\.lock, got: .* Make the folder writable"):
        BundleRegistry(Workspace(tmp_path / "file")).publish(FILES, **FACTS)
