from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import BundleError, WorkspaceError
from recsys.storage.signature import Signer, Verifier


@pytest.fixture
def keys(tmp_path):
    Signer(tmp_path / "keys")
    return tmp_path / "keys"


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return Signer(folder), Verifier(folder)


def foreign_key() -> tuple[bytes, bytes]:
    """A private and a public key of another kind."""
    key = generate_private_key(SECP256R1())
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return key.private_bytes(pem, pkcs8, serialization.NoEncryption()), public


@given(st.binary())
def test_a_signature_fits_its_message(pair, message):
    signer, verifier = pair
    assert verifier.verify(message, signer.sign(message))
    assert len(signer.sign(message)) == 64


@given(st.binary(), st.binary())
def test_a_signature_fits_no_other_message(pair, message, other):
    signer, verifier = pair
    assert verifier.verify(other, signer.sign(message)) == (message == other)


@given(st.binary(max_size=100))
def test_garbage_is_no_signature(pair, garbage):
    assert not pair[1].verify(b"message", garbage)


def test_the_private_key_is_for_its_owner_alone_and_the_public_one_for_all(keys):
    assert sorted(path.name for path in keys.iterdir()) == ["bundle.key", "bundle.pub"]
    assert stat.S_IMODE((keys / "bundle.key").stat().st_mode) == 0o600
    assert b"PRIVATE" not in (keys / "bundle.pub").read_bytes()


def test_the_pair_is_made_once(keys):
    before = (keys / "bundle.key").read_bytes()
    signature = Signer(keys).sign(b"message")
    assert (keys / "bundle.key").read_bytes() == before
    assert Verifier(keys).verify(b"message", signature)


def test_a_lost_public_key_is_made_from_the_private_one(keys):
    before = (keys / "bundle.pub").read_bytes()
    (keys / "bundle.pub").unlink()
    Signer(keys)
    assert (keys / "bundle.pub").read_bytes() == before


def test_a_lost_private_key_is_not_replaced_in_silence(keys):
    before = (keys / "bundle.pub").read_bytes()
    (keys / "bundle.key").unlink()
    with pytest.raises(WorkspaceError, match=r"the private key .*bundle\.key beside .*Restore it from the publisher"):
        Signer(keys)
    assert (keys / "bundle.pub").read_bytes() == before


def test_another_pair_refuses_the_signature(keys, tmp_path):
    signature = Signer(tmp_path / "others").sign(b"message")
    assert not Verifier(keys).verify(b"message", signature)


@pytest.mark.parametrize(
    "content", [b"", b"garbage", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_private_key_that_is_unreadable_is_refused(keys, content):
    (keys / "bundle.key").write_bytes(content)
    with pytest.raises(WorkspaceError, match=r"private key in .*bundle\.key, got no readable key"):
        Signer(keys)


@pytest.mark.parametrize("content", [b"", b"garbage", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"])
def test_a_public_key_that_is_unreadable_is_refused(keys, content):
    (keys / "bundle.pub").write_bytes(content)
    with pytest.raises(BundleError, match=r"public key in .*bundle\.pub, got no readable key"):
        Verifier(keys)


def test_keys_of_another_kind_are_refused(keys):
    private, public = foreign_key()
    (keys / "bundle.key").write_bytes(private)
    with pytest.raises(WorkspaceError, match=r"Ed25519 private key in .* got EC"):
        Signer(keys)
    (keys / "bundle.pub").write_bytes(public)
    with pytest.raises(BundleError, match=r"Ed25519 public key in .* got EC"):
        Verifier(keys)


def test_a_missing_public_key_is_asked_for(tmp_path):
    with pytest.raises(BundleError, match=r"public key at .*bundle\.pub, got none\. Copy bundle\.pub from there"):
        Verifier(tmp_path)


def test_what_a_killed_maker_left_is_removed(tmp_path):
    (tmp_path / ".bundle.key.0a.partial").write_bytes(b"half a key")
    Signer(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.key", "bundle.pub"]
