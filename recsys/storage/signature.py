"""Ed25519 signatures of bundles: whoever holds the public key can tell a publisher's bundle from any other."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from recsys.errors import BundleError
from recsys.storage.atomic import write_file

PRIVATE_KEY_FILE = "bundle.key"
PUBLIC_KEY_FILE = "bundle.pub"


def sign(content: bytes, keys: Path) -> bytes:
    """Returns the signature of `content`; the key pair is made on first use (private half readable by its owner).

    Raises:
      BundleError: If the private key is unreadable.
      WorkspaceError: If a new pair cannot be written.
    """
    path = keys / PRIVATE_KEY_FILE
    if not path.exists():
        _create_pair(keys)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise BundleError(
            f"Expected a signing key in {path}, got: {error}. Restore it, or remove it to start anew."
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"Expected an Ed25519 key in {path}, got {type(key).__name__}.")
    return key.sign(content)


def verify(content: bytes, signature: bytes, keys: Path) -> bool:
    """Returns whether `signature` was made for `content` by the publisher whose public key is known here.

    Raises:
      BundleError: If there is no readable public key.
    """
    path = keys / PUBLIC_KEY_FILE
    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise BundleError(f"Expected the publisher's public key in {path}, got: {error}.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise BundleError(f"Expected an Ed25519 key in {path}, got {type(key).__name__}.")
    try:
        key.verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _create_pair(keys: Path) -> None:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    # The private half last: its presence means that the public half is there too.
    write_file(keys / PUBLIC_KEY_FILE, public)
    write_file(
        keys / PRIVATE_KEY_FILE,
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        mode=0o600,
    )
