from __future__ import annotations

import base64
import hashlib
import json

import pytest

from recsys.contracts.bundle import DEVICE_FILES, Manifest
from recsys.runtime.tower import Tower
from recsys.storage.signature import Verifier
from tests.serving.conftest import problem_of


def test_the_manifest_is_the_signed_one(client, bundle, bundled_workspace):
    answer = client.get("/v1/bundle").json()
    manifest = Manifest.from_json(json.dumps(answer["manifest"]))
    assert manifest == bundle.manifest
    signature = base64.b64decode(answer["signature"])
    assert Verifier(bundled_workspace.keys).verify(manifest.to_json().encode(), signature)


def test_a_device_downloads_its_towers_by_the_list_and_they_run(client):
    files = client.get("/v1/bundle").json()["device_files"]
    assert [file["name"] for file in files] == list(DEVICE_FILES)
    for file, signature in zip(files, ("encode", "encode", "rerank", "rerank", "infer"), strict=True):
        response = client.get(file["url"])
        assert response.status_code == 200
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["etag"] == f'"{file["sha256"]}"'
        assert hashlib.sha256(response.content).hexdigest() == file["sha256"]
        assert len(response.content) == file["size_bytes"]
        assert Tower(response.content, signature).size_bytes == file["size_bytes"]


def test_a_tower_that_the_device_holds_is_not_sent_again(client):
    file = client.get("/v1/bundle").json()["device_files"][1]
    response = client.get(file["url"], headers={"If-None-Match": f'"{file["sha256"]}"'})
    assert (response.status_code, response.content) == (304, b"")


@pytest.mark.parametrize(
    "name",
    [
        "ranker.tflite",
        "manifest.json",
        "index.faiss",
        "device_tower.npz",
        "...",
        "%2e%2e",
        "%2e%2e%2fmanifest.json",
        "..%2f..%2fkeys%2fbundle.key",
        "%2fetc%2fpasswd",
        "device_tower.tflite%00",
        "device_tower.tflite/",
        "DEVICE_TOWER.TFLITE",
        "C:%5Cwindows",
        "",
    ],
)
def test_nothing_but_device_files_can_be_had(client, name):
    response = client.get(f"/v1/bundle/files/{name}", follow_redirects=False)
    assert "Expected" in problem_of(response, 404)["detail"]


def test_a_refused_file_names_those_that_there_are(client):
    problem = problem_of(client.get("/v1/bundle/files/ranker.tflite"), 404)
    assert problem["detail"] == (
        "Expected a file out of query_tower.tflite, query_tower_int8.tflite, device_tower.tflite, "
        "device_tower_int8.tflite, device_tower_training.tflite, got another name."
    )
    assert problem["type"] == "urn:tandem:problem:unknown-file"
