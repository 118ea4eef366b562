"""The device's half of a secure sum: what it sends looks like noise to the server, and only the sum of all does not.

    Practical Secure Aggregation for Privacy-Preserving Machine Learning, Bonawitz et al., CCS 2017:

    1. each device u tells all others two public keys, by the server
    2. it cuts its mask key and a seed b_u into shares, any t of which give them back, and sends each peer one, sealed
    3. it sends x_u + PRG(b_u) + sum_{v > u} PRG(s_uv) - sum_{v < u} PRG(s_uv) modulo 2^bits   s_uv: agreed by u and v
    4. of each peer it reveals one share: of b_v where v has sent that, of the mask key where v is lost

So the server can take away the masks of those who came, and those that the lost have left in them; of nobody it gets
both. Deviations: against a server that follows the protocol (the extra round in which devices sign who came is
left out); a share is a number below the prime 2^521 - 1.

What is drawn here comes from the system's source and not from a seed: the sum does not depend on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from recsys.errors import FederationError

UInt32Array = npt.NDArray[np.uint32]

PRIME: Final = 2**521 - 1
_KEY_BYTES: Final = 32
SHARE_BYTES: Final = 66
MOST_BITS: Final = 32
_NONCE: Final = bytes(12)
"""Each sealing key seals one message alone."""


@dataclass(frozen=True)
class PublicKeys:
    """What a device tells all others.

    Attributes:
      mask: With which masks are agreed.
      seal: With which shares are sealed.
    """

    mask: bytes
    seal: bytes


class MaskingDevice:
    """One device in one sum; its methods are called in their order, once each."""

    def __init__(self, number: int) -> None:
        """Draws its keys.

        Args:
          number: From 1, another one for each device.
        """
        self.number = number
        self._mask_key, self._seal_key = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self._seed = secrets.token_bytes(_KEY_BYTES)
        self._peers: dict[int, PublicKeys] = {}
        self._threshold = 0
        self._held: dict[int, tuple[int, int]] = {}
        self._has_revealed = False

    def advertise(self) -> PublicKeys:
        """Returns its public keys."""
        return PublicKeys(
            self._mask_key.public_key().public_bytes_raw(), self._seal_key.public_key().public_bytes_raw()
        )

    def share(self, peers: Mapping[int, PublicKeys], threshold: int) -> dict[int, bytes]:
        """Returns for each peer, itself among them, its sealed shares.

        Args:
          peers: Number to public keys of everybody.
          threshold: How many shares give a secret back.

        Raises:
          FederationError: If half of the devices could give a secret back, or all would not be enough.
        """
        if not len(peers) / 2 < threshold <= len(peers):
            raise FederationError(
                f"Expected a threshold above half of {len(peers)} devices, and not above all, got {threshold}: two "
                "halves could unmask one device twice."
            )
        self._peers, self._threshold = dict(peers), threshold
        numbers = sorted(peers)
        of_key = cut(int.from_bytes(self._mask_key.private_bytes_raw(), "big"), numbers, threshold)
        of_seed = cut(int.from_bytes(self._seed, "big"), numbers, threshold)
        return {
            peer: self._sealer(peer, self.number).encrypt(
                _NONCE, b"".join(share.to_bytes(SHARE_BYTES, "big") for share in (of_key[peer], of_seed[peer])), None
            )
            for peer in numbers
        }

    def receive(self, sealed: Mapping[int, bytes]) -> None:
        """Keeps the shares that others have sealed for it.

        Args:
          sealed: Who sent it, to what.

        Raises:
          FederationError: If they were altered on their way.
        """
        for peer, message in sealed.items():
            try:
                plain = self._sealer(self.number, peer).decrypt(_NONCE, message, None)
            except InvalidTag as error:
                raise FederationError(
                    f"Expected the shares that device {peer} sealed for device {self.number}, got altered ones. "
                    "Start the sum over."
                ) from error
            halves = plain[:SHARE_BYTES], plain[SHARE_BYTES:]
            self._held[peer] = (int.from_bytes(halves[0], "big"), int.from_bytes(halves[1], "big"))

    def mask(self, values: UInt32Array, bits: int = MOST_BITS) -> UInt32Array:
        """Returns values that look like noise, `[num_values]` uint32 below 2^bits.

        Args:
          values: `[num_values]` uint32; negative numbers as 2^bits less.
          bits: Of the modulus, at most 32: as many as the sum has.
        """
        masked = values + expand(self._seed, len(values))
        for peer in self._held:
            if peer != self.number:
                masked += signed_mask(
                    self._mask_key.private_bytes_raw(), self._peers[peer].mask, self.number < peer, len(values)
                )
        return keep_bits(masked, bits)

    def reveal(self, came: Sequence[int]) -> tuple[dict[int, int], dict[int, int]]:
        """Returns of each peer one share: of the seeds of those who came, of the mask keys of the others.

        Args:
          came: Whose masked values the server has.

        Raises:
          FederationError: If too few came, or it has revealed before: with both shares a device would be unmasked.
        """
        if self._has_revealed:
            raise FederationError(f"Expected device {self.number} to be asked for shares once, got asked again.")
        if len(came) < self._threshold:
            raise FederationError(f"Expected masked values of at least {self._threshold} devices, got {len(came)}.")
        self._has_revealed = True
        seeds = {peer: of_seed for peer, (_, of_seed) in self._held.items() if peer in set(came)}
        keys = {peer: of_key for peer, (of_key, _) in self._held.items() if peer not in set(came)}
        return seeds, keys

    def _sealer(self, to: int, sender: int) -> ChaCha20Poly1305:
        """The key for messages from one to the other; each direction has its own."""
        peer = to if sender == self.number else sender
        agreed = self._seal_key.exchange(X25519PublicKey.from_public_bytes(self._peers[peer].seal))
        return ChaCha20Poly1305(digest(agreed + sender.to_bytes(4, "big") + to.to_bytes(4, "big")))


def cut(secret: int, numbers: Sequence[int], threshold: int) -> dict[int, int]:
    """Cuts a secret into shares (How to Share a Secret, Shamir, Communications of the ACM 1979).

    Args:
      secret: Below `PRIME`.
      numbers: Of those who get one, from 1.
      threshold: How many give it back; fewer tell nothing.
    """
    coefficients = [secret, *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    shares = {}
    for number in numbers:
        value = 0
        for coefficient in reversed(coefficients):
            value = (value * number + coefficient) % PRIME
        shares[number] = value
    return shares


def join(shares: Mapping[int, int]) -> int:
    """Returns the secret of at least as many shares as the threshold says; of fewer, a number that tells nothing."""
    secret = 0
    for number, share in shares.items():
        above, below = 1, 1
        for other in shares:
            if other != number:
                above, below = above * other % PRIME, below * (other - number) % PRIME
        secret += share * above * pow(below, -1, PRIME)
    return secret % PRIME


def expand(seed: bytes, count: int) -> UInt32Array:
    """Returns `[count]` uint32 that a seed of 32 bytes stands for."""
    stream = Cipher(ChaCha20(seed, bytes(16)), mode=None).encryptor()
    return np.frombuffer(stream.update(bytes(4 * count)), "<u4").astype(np.uint32)


def signed_mask(private: bytes, public: bytes, is_added: bool, count: int) -> UInt32Array:
    """Returns the mask that two devices agree on, `[count]` uint32; one of both adds it, the other takes it away.

    Args:
      private: The mask key of one.
      public: The public mask key of the other.
      is_added: Whether the one adds it.
      count: Of numbers.
    """
    agreed = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    mask = expand(digest(agreed), count)
    return mask if is_added else np.negative(mask)


def keep_bits(values: UInt32Array, bits: int) -> UInt32Array:
    """Returns values modulo 2^bits; what is uniform stays uniform.

    Args:
      values: Any uint32.
      bits: From 1 to 32.
    """
    return values & np.uint32(2**bits - 1)


def digest(data: bytes) -> bytes:
    """Returns 32 bytes that data stands for (SHA-256)."""
    hashed = Hash(SHA256())
    hashed.update(data)
    return hashed.finalize()
