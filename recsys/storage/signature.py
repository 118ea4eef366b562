"""Ed25519 signatures of bundles: the publisher holds the private key, every reader the public one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from recsys.errors import BundleError, WorkspaceError
from recsys.storage.atomic import remove_partials, write_file

PRIVATE_KEY_FILE: Final = "bundle.key"
PUBLIC_KEY_FILE: Final = "bundle.pub"


class Signer:
    """The publisher's private key."""

    def __init__(self, keys: Path) -> None:
        """Reads the key pair of a folder, or makes it on first use. The caller holds the lock of the workspace.

        Args:
          keys: The folder. The private key in it is readable by its owner alone.

        Raises:
          WorkspaceError: If the private key is unreadable, or missing beside a public one.
        """
        private, public = keys / PRIVATE_KEY_FILE, keys / PUBLIC_KEY_FILE
        for path in (private, public):
            remove_partials(path)
        if private.exists():
            self._key = _read_private_key(private)
        elif public.exists():
            raise WorkspaceError(
                f"Expected the private key {private} beside {public}, got the public one alone. "
                f"Restore it from the publisher; or remove {public} to begin a new key pair, which refuses all "
                "bundles published so far."
            )
        else:
            self._key = Ed25519PrivateKey.generate()
            write_file(private, _private_pem(self._key), mode=0o600)
        pem = _public_pem(self._key.public_key())
        if not public.exists() or public.read_bytes() != pem:
            write_file(public, pem)

    def sign(self, message: bytes) -> bytes:
        """Returns the signature of `message`, 64 bytes."""
        return self._key.sign(message)


class Verifier:
    """The public key that this machine trusts."""

    def __init__(self, keys: Path) -> None:
        """Reads `bundle.pub`.

        Raises:
          BundleError: If there is none, or it is no Ed25519 public key.
        """
        self.path = keys / PUBLIC_KEY_FILE
        try:
            key = serialization.load_pem_public_key(self.path.read_bytes())
        except FileNotFoundError as error:
            raise BundleError(
                f"Expected the publisher's public key at {self.path}, got none. Copy {PUBLIC_KEY_FILE} from there."
            ) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise BundleError(f"Expected an Ed25519 public key in {self.path}, got no readable key: {error}") from error
        if not isinstance(key, Ed25519PublicKey):
            raise BundleError(f"Expected an Ed25519 public key in {self.path}, got {type(key).__name__}.")
        self._key = key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` was made over exactly `message` by the trusted key."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise WorkspaceError(f"Expected an Ed25519 private key in {path}, got no readable key: {error}") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise WorkspaceError(f"Expected an Ed25519 private key in {path}, got {type(key).__name__}.")
    return key


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
