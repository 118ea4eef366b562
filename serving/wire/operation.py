"""What is served: bundle, health, and problems."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from recsys.contracts.bundle import Manifest
from serving.wire.shape import Wire


class FileAnswer(Wire):
    """A file of the bundle."""

    sha256: str = Field(description="Checksum of its bytes, in hexadecimal.")
    size_bytes: int = Field(description="Its length.")


class DeviceFileAnswer(FileAnswer):
    """A file that a device downloads."""

    name: str = Field(description="Its name in the manifest.")
    url: str = Field(description="Where to get it, relative to the server.")


class ManifestAnswer(Wire):
    """What the bundle holds, as it was signed."""

    version: str = Field(description="Name of the bundle.")
    created_ms: int = Field(description="When it was published, in milliseconds since 1970 (UTC).")
    dataset: str = Field(description="What it was trained on.")
    split_fingerprint: str = Field(description="Names the split of the data.")
    embedding_version: str = Field(description="Names the item vectors by their content.")
    dim: int = Field(description="Length of item and query vectors.")
    history_length: int = Field(description="Items that the query tower reads.")
    num_items: int = Field(description="Items in the catalogue.")
    num_recent: int = Field(description="Candidates of a list that are what was chosen most of late.")
    files: dict[str, FileAnswer] = Field(description="Every file of the bundle, those that stay on the server too.")
    parent: str | None = Field(description="The bundle that it was derived from, if any.")
    metrics: dict[str, float] = Field(description="What was measured when it was made.")
    schema_version: int = Field(description="Version of this manifest's layout.")

    @classmethod
    def from_contract(cls, manifest: Manifest) -> ManifestAnswer:
        """Returns the JSON shape of a manifest."""
        files = {
            name: FileAnswer(sha256=entry.sha256, size_bytes=entry.size_bytes) for name, entry in manifest.files.items()
        }
        names = set(cls.model_fields) - {"files", "metrics"}
        return cls(files=files, metrics=dict(manifest.metrics), **{name: getattr(manifest, name) for name in names})


class BundleAnswer(Wire):
    """The served bundle: its manifest, and what a device downloads of it."""

    manifest: ManifestAnswer = Field(description="The signed manifest.")
    signature: str = Field(
        description="Ed25519 signature (base64) of the manifest's canonical text: JSON with sorted keys, an indent "
        "of one space and a newline at the end."
    )
    device_files: list[DeviceFileAnswer] = Field(description="The towers that run on a device.")


class HealthAnswer(Wire):
    """The process is up."""

    status: str = Field(description="Always `up`.")


class ReadyAnswer(Wire):
    """A bundle is loaded and answers."""

    status: str = Field(description="Always `ready`.")
    bundle_version: str = Field(description="The bundle that is served.")
    embedding_version: str = Field(description="Its item vectors.")


class Fault(Wire):
    """One place of a request that was refused."""

    detail: str = Field(description="What is wrong there.")
    pointer: str = Field(description="JSON pointer into the body, or `query/NAME` and the like for other places.")


class Problem(Wire):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="The kind of error: `urn:tandem:problem:KIND`; `about:blank` for plain HTTP ones.")
    title: str = Field(description="The kind in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="What was expected, what came and what to do.")
    errors: list[Fault] | None = Field(None, description="The places that were refused, where there are several.")
    request_id: str | None = Field(None, description="Names the request in the server's log.")

    def to_json(self) -> dict[str, Any]:
        """Returns the object without absent keys."""
        return self.model_dump(exclude_none=True)
