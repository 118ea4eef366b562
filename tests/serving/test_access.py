"""API keys: who may ask what, and how often."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from recsys.errors import ConfigError
from serving.access import Access, Bucket, read_grants
from tests.serving.conftest import problem_of

README = Path(__file__).parents[2] / "serving" / "README.md"
KEYS = {"a-device": "device", "an-admin": "admin"}


@pytest.fixture
def keys_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.toml"
    path.write_text("".join(_table(key, scope, 1_000, 1_000) for key, scope in KEYS.items()))
    return path


def ask(keys_file: Path, path: str, authorization: str = "", times: int = 1) -> list[tuple[int, str]]:
    """Returns status and `Retry-After` of requests that follow each other, to what answers everything."""
    client = TestClient(Access(PlainTextResponse("answered"), read_grants(keys_file)))
    headers = {"Authorization": authorization} if authorization else {}
    answers = [client.get(path, headers=headers) for _ in range(times)]
    return [(answer.status_code, answer.headers.get("retry-after", "")) for answer in answers]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer another", "Basic a-device", "a-device"])
def test_who_shows_no_known_key_is_refused(keys_file: Path, authorization: str) -> None:
    assert ask(keys_file, "/v1/rerank", authorization) == [(401, "")]


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/docs",
        "/docs/vendor/swagger-ui.css",
        "/openapi.json",
        "/console",
        "/console/app.js",
        "/console/apis",
    ],
)
def test_health_the_document_and_files_of_pages_are_for_everybody(keys_file: Path, path: str) -> None:
    assert ask(keys_file, path) == [(200, "")]


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/v1/users/anna",
        "/console/api",
        "/console/api/people/anna",
        "/console/%61pi/x%0Ay",
        "/v1/users/a%0Ab",
    ],
)
def test_what_tells_of_people_and_of_the_server_is_for_administrators(keys_file: Path, path: str) -> None:
    assert ask(keys_file, path, "Bearer a-device") == [(403, "")]
    assert ask(keys_file, path, "Bearer an-admin") == [(200, "")]


@pytest.mark.parametrize("authorization", ["Bearer a-device", "bearer  a-device ", "Bearer an-admin"])
def test_a_known_key_opens_what_devices_ask(keys_file: Path, authorization: str) -> None:
    assert ask(keys_file, "/v1/rerank", authorization) == [(200, "")]


def test_who_asks_too_often_is_told_when_to_ask_again(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(_table("slow", "device", 0.01, 2))
    answers = ask(path, "/v1/rerank", "Bearer slow", times=3)
    assert answers[:2] == [(200, ""), (200, "")]
    assert answers[2][0] == 429
    assert 98 <= int(answers[2][1]) <= 100


EXPIRES = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "written", ["2026-05-01T12:00:00Z", "2026-05-01T14:00:00+02:00", str(int(EXPIRES.timestamp()))]
)
def test_a_key_is_good_until_it_expires(tmp_path: Path, written: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(_table("short-lived", "admin", 1_000, 1_000) + f"expires = {written}\n")
    now = [EXPIRES - timedelta(seconds=1)]
    client = TestClient(Access(PlainTextResponse("answered"), read_grants(path), clock=lambda: now[0]))
    headers = {"Authorization": "Bearer short-lived"}
    assert client.get("/metrics", headers=headers).status_code == 200
    now[0] = EXPIRES
    refused = client.get("/metrics", headers=headers)
    problem = problem_of(refused, 401)
    assert problem["type"] == "urn:tandem:problem:key-expired"
    assert problem["detail"] == (
        "Expected a key that is still good, got one that expired at 2026-05-01T12:00:00Z. Ask for a new one."
    )
    assert refused.headers["www-authenticate"].startswith('Bearer error="invalid_token"')


def test_the_time_that_counts_is_that_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    tables = [
        _table(name, "device", 9, 9) + f"expires = {year}-01-01T00:00:00Z\n"
        for name, year in (("old", 2001), ("new", 2999))
    ]
    path.write_text("".join(tables))
    assert ask(path, "/v1/rerank", "Bearer old") == [(401, "")]
    assert ask(path, "/v1/rerank", "Bearer new") == [(200, "")]


def test_the_keys_of_the_readme_open_what_it_says(tmp_path: Path) -> None:
    """The example of serving/README.md, as it stands there: `KEY` made by its command."""
    text = README.read_text(encoding="utf-8")
    example = text.partition("```toml\n")[2].partition("```")[0]
    command = text.partition("```sh\n")[2].partition("\n```")[0]
    assert '"' + "0" * 64 + '"' in example
    made = subprocess.run(["sh", "-ec", command], capture_output=True, text=True, check=True).stdout.split()
    key, sha256 = made[0], made[1]
    assert len(key) == 43
    path = tmp_path / "keys.toml"
    path.write_text(example.replace("0" * 64, sha256, 1))
    assert ask(path, "/v1/rerank", f"Bearer {key}") == [(200, "")]
    assert ask(path, "/metrics", f"Bearer {key}") == [(403, "")]


def test_a_bucket_fills_again_up_to_its_burst_as_time_passes() -> None:
    now = [0.0]
    bucket = Bucket(2.0, 3, clock=lambda: now[0])
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    now[0] = 0.5
    assert [bucket.take() for _ in range(2)] == [0.0, 0.5]
    now[0] = 1_000.0
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a", "Expected TOML in "),
        ('[a]\nscope = "device"\nrequests_per_s = 1', "got in `sha256`"),
        ('[a]\nsha256 = "00"\nscope = "device"\nrequests_per_s = 1', "got in `sha256`"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "root"\nrequests_per_s = 1', "got in `scope`"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "device"\nrequests_per_s = 0', "got in `requests_per_s`"),
        (f'[a]\nsha256 = "{"0" * 64}"\nscope = "device"\nrequests_per_s = 1\nother = 1', "got in `other`"),
        (
            f'[a]\nsha256 = "{"0" * 64}"\nscope = "device"\nrequests_per_s = 1\nexpires = 2027-01-01T00:00:00',
            "got in `expires`: Input should have timezone info",
        ),
    ],
)
def test_a_file_that_is_none_of_keys_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "keys.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_grants(path)


def test_a_missing_file_of_keys_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Expected a file of API keys at .*nowhere.toml, got: No such file"):
        read_grants(tmp_path / "nowhere.toml")


def _table(key: str, scope: str, requests_per_s: float, burst: int) -> str:
    sha256 = hashlib.sha256(key.encode()).hexdigest()
    return f'[{key}]\nsha256 = "{sha256}"\nscope = "{scope}"\nrequests_per_s = {requests_per_s}\nburst = {burst}\n'
