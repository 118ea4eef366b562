"""The server as it runs: its own process, a real socket, signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from recsys.config.serving import ServingSettings
from recsys.errors import ConfigError, WorkspaceError
from recsys.storage.workspace import Workspace
from serving.listener import listen
from serving.server import serve
from tests.bundles import publish_variant
from tests.serving.test_deployment import wait_until

REPOSITORY = Path(__file__).resolve().parents[2]
FOREIGN = ("tensorflow", "tensorflow_federated", "apache_beam", "pandas", "keras", "tensorflow_recommenders")

PROGRAM = textwrap.dedent(
    f"""
    import sys
    from pathlib import Path
    from recsys.config.serving import ServingSettings
    from recsys.storage.workspace import Workspace
    from serving.server import serve

    settings = ServingSettings(port=0, poll_s=0.05, **eval(sys.argv[2]))
    serve(Workspace(Path(sys.argv[1])), settings, lambda url: print(url, flush=True))
    print([name for name in {FOREIGN!r} if name in sys.modules], flush=True)
    """
)


class Running:
    """A server process that is ready."""

    def __init__(self, process: subprocess.Popen[str], url: str, seconds: float) -> None:
        self.process = process
        self.url = url
        self.seconds = seconds
        self.http = httpx.Client(base_url=url, timeout=10)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        """Returns the exit code and the rest of stdout and stderr."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=15)
        return self.process.returncode, out, err


@contextmanager
def running(workspace: Workspace, **settings: object) -> Iterator[Running]:
    begun = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(workspace.root), repr(settings)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate()[1]
        server = Running(process, url, time.perf_counter() - begun)
        with server.http:
            yield server
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(bundled_workspace: Workspace) -> Iterator[Running]:
    with running(bundled_workspace) as started:
        yield started


WISH = {"surface": "feed", "count": 5, "user_id": "u01"}


def test_it_tells_its_real_port_when_it_is_ready(server):
    assert server.http.get("/readyz").json()["status"] == "ready"
    assert int(server.url.rpartition(":")[2]) > 0


def test_it_is_small(server, record_property):
    server.http.post("/v1/recommend", json=WISH)
    size_mib = psutil.Process(server.process.pid).memory_info().rss / 2**20
    record_property("rss_mib", round(size_mib))
    record_property("ready_s", round(server.seconds, 2))
    assert size_mib < 300


def test_twenty_at_once_all_get_the_same_right_answer(server):
    alone = server.http.post("/v1/recommend", json=WISH).json()
    with ThreadPoolExecutor(20) as threads:
        answers = list(
            threads.map(lambda _: httpx.post(f"{server.url}/v1/recommend", json=WISH, timeout=20), range(60))
        )
    assert [answer.status_code for answer in answers] == [200] * 60
    assert all(answer.json() == alone for answer in answers)


def test_lists_that_wait_together_get_the_scores_that_each_has_alone_to_the_last_bit(server):
    """Those that wait at the same moment are read, encoded and scored at once."""
    item_ids = [f"i{number:03d}" for number in range(1, 61)]
    bodies = [
        {
            "history": item_ids[place : place + 5],
            "candidates": [
                {"item_id": item_id, "score": 1.0 / rank} for rank, item_id in enumerate(item_ids[place:], 1)
            ],
        }
        for place in range(20)
    ]
    alone = [server.http.post("/v1/rerank", json=body).content for body in bodies]
    with ThreadPoolExecutor(20) as threads:
        together = list(
            threads.map(lambda body: httpx.post(f"{server.url}/v1/rerank", json=body, timeout=20).content, bodies * 3)
        )
    assert together == alone * 3


def test_it_follows_a_new_bundle_logs_json_without_people_and_ends_with_code_0(own_workspace):
    with running(own_workspace) as server:
        assert server.http.post("/v1/recommend", json=WISH).status_code == 200
        assert server.http.get("/u01").status_code == 404
        version = publish_variant(own_workspace).manifest.version
        wait_until(lambda: server.http.get("/readyz").json()["bundle_version"] == version)
        assert server.http.get("/v1/embeddings/snapshot").status_code == 200
        code, out, err = server.stop(signal.SIGTERM)
    assert (code, out.strip()) == (0, "[]"), "neither TensorFlow nor pandas nor Beam was ever loaded"
    native = "INFO: Created TensorFlow Lite"  # LiteRT's own greeting, written past Python
    lines = [json.loads(line) for line in err.splitlines() if not line.startswith(native)]
    assert [line["event"] for line in lines] == [
        "bundle served",
        "ready",
        "request",
        "request",
        "bundle served",
        "request",
        "ended",
    ]
    assert "u01" not in err


def test_a_request_under_way_is_answered_and_one_that_never_ends_is_not_waited_for(bundled_workspace):
    body = json.dumps(WISH).encode()
    head = (
        "POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    with running(bundled_workspace, drain_s=2.0) as server, connect(server) as slow, connect(server) as endless:
        slow.sendall(head + body[:10])
        endless.sendall(head + body[:10])
        time.sleep(0.3)
        begun = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: not accepts(server))
        slow.sendall(body[10:])
        answer = b"".join(iter(lambda: slow.recv(65_536), b""))
        code = server.process.wait(15)
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert code == 0
    assert time.monotonic() - begun < 8


def connect(server: Running) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=10)


def accepts(server: Running) -> bool:
    try:
        connect(server).close()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "target",
    [
        "/v1/bundle/files/../../../keys/bundle.key",
        "/v1/bundle/files/..",
        "/v1/bundle/files/../manifest.json",
        "/v1/bundle/files/%2e%2e/%2e%2e/keys/bundle.key",
        "/v1/bundle/files/....//....//keys/bundle.key",
        "//etc/passwd",
        "/v1/bundle/files/\\..\\..\\keys",
    ],
)
def test_no_path_leads_out_of_the_device_files(server, target):
    """Sent raw: clients tidy such paths up before they send them."""
    answer = send_raw(server, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"404", b"400")
    assert b"PRIVATE KEY" not in answer
    assert b"schema_version" not in answer


def send_raw(server: Running, request: bytes) -> bytes:
    with connect(server) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def test_a_body_that_is_announced_as_too_large_is_refused_without_being_waited_for(server):
    head = b"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\n\r\n{"
    answer = send_raw(server, head)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer


def test_header_fields_without_end_are_refused_before_they_fill_the_memory(server):
    endless = b"GET /healthz HTTP/1.1\r\n" + b"X-More: and more\r\n" * 60_000
    with connect(server) as connection, suppress(ConnectionError):  # it hangs up before all of it was sent
        connection.sendall(endless)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 400")
    assert server.http.get("/healthz").status_code == 200


def test_header_fields_of_a_usual_length_that_come_bit_by_bit_are_read(server):
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Long: " + b"x" * 60_000 + b"\r\n\r\n"
    with connect(server) as connection:
        for begin in range(0, len(request), 1_000):
            connection.sendall(request[begin : begin + 1_000])
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")


def test_without_a_bundle_it_does_not_start_and_says_what_to_do(tmp_path):
    with pytest.raises(WorkspaceError, match="Run `tandem train --workspace"):
        serve(Workspace(tmp_path), ServingSettings(port=0))
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_told_of(bundled_workspace):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"Expected to listen on 127\.0\.0\.1 port {port}, got: Address already"):
            serve(bundled_workspace, ServingSettings(port=port))


def test_connections_say_that_they_are_tcp_so_that_no_answer_waits_for_an_acknowledgement():
    """asyncio sets TCP_NODELAY on no other ones; without it every answer took 40 ms longer."""
    with listen(ServingSettings(port=0)) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.proto == socket.IPPROTO_TCP


def test_importing_the_application_loads_nothing_foreign():
    command = [sys.executable, "-X", "importtime", "-c", "import serving.app, serving.server"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, env=os.environ)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "fastapi" in loaded
    assert loaded.isdisjoint(FOREIGN)
