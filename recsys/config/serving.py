"""Settings of `tandem serve`."""

from __future__ import annotations

from pydantic import Field, field_validator

from recsys.config.settings import Settings


class ServingSettings(Settings):
    """Everything that `tandem serve` can be told."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    keys_file: str = ""
    """A TOML file of API keys; empty: everybody may ask everything."""
    max_body_bytes: int = Field(1_048_576, ge=1_024)
    max_candidates: int = Field(500, ge=1)
    num_workers: int = Field(1, ge=1)
    """Processes on one socket; the limits below are each one's own."""
    num_threads: int = Field(2, ge=1)
    max_queued: int = Field(256, ge=0)
    """Requests that may wait for a thread; beyond it the answer is 429 with Retry-After."""
    session_length: int = Field(200, ge=1)
    session_ttl_s: float = Field(2_592_000.0, gt=0)
    """A person of whom nothing came for so long is forgotten by the session store."""
    redis_url: str = ""
    """A Redis server that keeps the sessions; empty: the embedded store in the workspace."""
    max_events: int = Field(500, ge=1)
    max_waiting_events: int = Field(1_000_000, ge=1)
    """Received events that may wait for a training; beyond it the answer is 429."""
    poll_s: float = Field(1.0, gt=0)
    """How often the server looks whether another bundle was published."""
    traces_endpoint: str = ""
    """The URL of a collector of traces (OTLP over HTTP), as "http://host:4318/v1/traces"; empty: none are made."""
    drain_s: float = Field(10.0, gt=0)
    """How long requests under way may take after SIGTERM."""

    @field_validator("traces_endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str) -> str:
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"expected a URL as http://host:4318/v1/traces, or nothing, got {endpoint!r}")
        return endpoint
