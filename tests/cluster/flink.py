"""A Flink cluster of this machine's own processes: one job manager, some task managers, free ports of 127.0.0.1."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

SLOTS = 2
"""Slots of each task manager: as many as the parallelism of a job, so that one task manager can carry it alone."""

_REPOSITORY = Path(__file__).resolve().parents[2]
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"

# What Flink's own scripts give to a JVM of Java 17.
_OPENED = ("java.lang", "java.net", "java.io", "java.nio", "java.lang.reflect", "java.text", "java.time", "java.util")
_OPENED_CONCURRENT = ("java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks", "sun.nio.ch")

_CONFIGURATION = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc_port}
jobmanager.bind-host: 127.0.0.1
jobmanager.memory.process.size: 1g
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest_port}
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
taskmanager.numberOfTaskSlots: {slots}
taskmanager.cpu.cores: 1.0
taskmanager.memory.task.heap.size: 512m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.network.min: 192m
taskmanager.memory.network.max: 192m
taskmanager.memory.managed.size: 128m
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 128m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 128m
taskmanager.memory.jvm-overhead.max: 128m
taskmanager.load-balance.mode: SLOTS
heartbeat.interval: 1000
heartbeat.timeout: 30000
io.tmp.dirs: {folder}/tmp
blob.storage.directory: {folder}/tmp
web.tmpdir: {folder}/tmp
"""

_LOGGING = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = Console
appender.console.name = Console
appender.console.type = CONSOLE
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
"""


class FlinkCluster:
    """Starts its processes on entry and ends them, by their ids, on exit; if the tests are killed, the kernel does."""

    def __init__(self, jars: Path, folder: Path, num_task_managers: int = 2) -> None:
        self._jars = jars
        self._folder = folder
        self._num_task_managers = num_task_managers
        self._rest_port, self._rpc_port = _free_ports(2)
        self._stack = ExitStack()
        self.task_managers: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def master(self) -> str:
        """Where the REST service listens."""
        return f"127.0.0.1:{self._rest_port}"

    def __enter__(self) -> FlinkCluster:
        (self._folder / "tmp").mkdir(parents=True)
        (self._folder / "log4j.properties").write_text(_LOGGING)
        settings = _CONFIGURATION.format(
            rpc_port=self._rpc_port, rest_port=self._rest_port, slots=SLOTS, folder=self._folder
        )
        (self._folder / "flink-conf.yaml").write_text(settings)
        try:
            self._start("job-manager", _JOB_MANAGER)
            for number in range(self._num_task_managers):
                self.start_task_manager(f"tm-{number}")
            self.wait(lambda: self.get("overview")["taskmanagers"] == self._num_task_managers, "task managers")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_task_manager(self, name: str) -> None:
        """Starts a task manager whose id in Flink is `name`."""
        self.task_managers[name] = self._start(name, _TASK_MANAGER, "-D", f"taskmanager.resource-id={name}")

    def get(self, path: str) -> Any:
        """Asks the REST service."""
        with urllib.request.urlopen(f"http://{self.master}/{path}", timeout=10) as answer:
            return json.load(answer)

    def busy_task_managers(self, job_id: str) -> set[str]:
        """Returns the ids of the task managers that run a task of a job now."""
        return {place["taskmanager-id"] for place in self._places(job_id) if place["status"] == "RUNNING"}

    def ran_on(self, job_id: str) -> set[str]:
        """Returns the ids of all task managers that had a task of a job."""
        return {place["taskmanager-id"] for place in self._places(job_id)}

    def _places(self, job_id: str) -> list[dict[str, Any]]:
        vertices = [vertex["id"] for vertex in self.get(f"jobs/{job_id}")["vertices"]]
        found = [self.get(f"jobs/{job_id}/vertices/{vertex}/taskmanagers")["taskmanagers"] for vertex in vertices]
        return [place for places in found for place in places]

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
        """Waits until a condition holds; the service not answering yet counts as no."""
        end = time.monotonic() + timeout_s
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise TimeoutError(f"Waited {timeout_s:.0f} s for {what} in vain; see the logs in {self._folder}.")

    def _start(self, name: str, main: str, *arguments: str) -> subprocess.Popen[bytes]:
        opened = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED + _OPENED_CONCURRENT]
        command: Sequence[str] = [
            "java",
            "-Xmx640m",
            "-XX:MaxDirectMemorySize=512m",
            *opened,
            f"-Dlog4j.configurationFile=file:{self._folder}/log4j.properties",
            "-cp",
            f"{self._jars}/*",
            main,
            "--configDir",
            str(self._folder),
            *arguments,
        ]
        output = self._stack.enter_context((self._folder / f"{name}.log").open("wb"))
        process = subprocess.Popen(
            command,
            env={**os.environ, "PYTHONPATH": str(_REPOSITORY)},  # for the workers that task managers start
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            preexec_fn=_die_with_parent,
        )
        self._stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks a process to end, then makes it."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _die_with_parent() -> None:
    """Linux: the kernel ends this process when the one that started it is gone."""
    if os.uname().sysname == "Linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _free_ports(num_ports: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(num_ports)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
