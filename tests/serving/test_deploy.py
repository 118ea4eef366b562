"""The unit and the container file: what they copy is enough to serve, and what they say the command understands."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import Distribution, distribution, distributions
from importlib.util import cache_from_source
from pathlib import Path

import httpx
import pytest
import typer

from cli.main import app
from recsys.config.serving import ServingSettings
from serving.crew import _GRACE_S

REPOSITORY = Path(__file__).resolve().parents[2]
UNIT = REPOSITORY / "serving" / "deploy" / "tandem-serve.service"
CONTAINERFILE = REPOSITORY / "serving" / "deploy" / "Containerfile"
NO_PACKAGES = ("setup.cfg", "pyproject.toml", "README.md", "requirements")


def read_unit() -> configparser.SectionProxy:
    """Returns the section [Service]."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd's keys have capitals
    parser.read(UNIT)
    assert parser.sections() == ["Unit", "Service", "Install"]
    return parser["Service"]


def command_of(service: configparser.SectionProxy) -> list[str]:
    """Returns the words of ExecStart with the defaults filled in: `$NAME` gives several, `${NAME}` one."""
    values = dict(pair.split("=", 1) for pair in service["Environment"].split())
    words: list[str] = []
    for word in service["ExecStart"].split():
        if re.fullmatch(r"\$\w+", word):
            words += values[word[1:]].split()
        else:
            words.append(re.sub(r"\$\{(\w+)\}", lambda match: values[match[1]], word))
    return words


def instructions() -> list[tuple[str, str]]:
    """Returns (instruction, rest) of the container file."""
    text = CONTAINERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines]


def copied() -> list[tuple[str, str]]:
    """Returns (source, target folder or name) of everything that comes out of the repository."""
    pairs = []
    for name, rest in instructions():
        if name == "COPY" and not rest.startswith("--from"):
            *sources, target = rest.split()
            pairs += [(source, target) for source in sources]
    return pairs


def container_command() -> list[str]:
    found = dict(instructions())
    return [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]


def parse(command: list[str]) -> dict[str, object]:
    """Returns the options as the real command line reads them; it raises for one that it does not know."""
    program, verb, *options = command
    assert (Path(program).name, verb) == ("tandem", "serve")
    with typer.main.get_command(app).commands["serve"].make_context("serve", options) as context:  # type: ignore[attr-defined]
        return context.params


def test_the_command_of_the_unit_is_understood_and_its_workspace_is_what_may_be_written():
    service = read_unit()
    options = parse(command_of(service))
    assert (options["host"], options["port"], options["workers"]) == ("127.0.0.1", 8080, 2)
    assert str(options["workspace"]) == service["ReadWritePaths"] == service["WorkingDirectory"]
    assert Path("/var/lib") / service["StateDirectory"] == options["workspace"]
    assert (service["ProtectSystem"], service["PrivateTmp"], service["NoNewPrivileges"]) == ("strict", "yes", "yes")


def test_an_option_that_the_command_does_not_have_would_be_found():
    with pytest.raises(Exception, match="No such option: --wokers"):
        parse([*command_of(read_unit()), "--wokers", "2"])


def test_systemd_waits_longer_than_the_server_drains():
    service = read_unit()
    assert service["KillSignal"] == "SIGTERM"
    assert float(service["TimeoutStopSec"]) > ServingSettings().drain_s + _GRACE_S


def test_systemd_itself_finds_nothing_wrong_with_the_unit(tmp_path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed; on Debian it comes with the package systemd")
    # It looks for the program too, which is installed nowhere yet.
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/tandem/.venv/bin/tandem", sys.executable))
    run = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    ours = [line for line in run.stderr.splitlines() if UNIT.name in line]
    assert ours == []
    unit.write_text(unit.read_text().replace("KillSignal=SIGTERM", "KillSignal=SIGTREM"))
    run = subprocess.run([program, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert "SIGTREM" in run.stderr


def test_all_that_the_image_copies_is_there_and_nothing_else_is_needed_to_install_it():
    sources = [source for source, _ in copied()]
    assert [source for source in sources if not (REPOSITORY / source).exists()] == []
    assert {"requirements/install.sh", "requirements/bootstrap.txt", "requirements/serving.txt"} <= set(sources)
    packages = {source for source in sources if (REPOSITORY / source / "__init__.py").exists()}
    assert packages == {source for source in sources if source.split("/")[0] not in NO_PACKAGES}


def test_the_command_of_the_image_is_understood_and_listens_where_the_health_check_asks():
    options = parse(container_command())
    assert (options["host"], options["workers"]) == ("0.0.0.0", 2)
    found = dict(instructions())
    assert json.loads(found["VOLUME"]) == [str(options["workspace"])]
    assert found["EXPOSE"] == str(options["port"])
    assert f"http://127.0.0.1:{options['port']}/readyz" in found["HEALTHCHECK"]
    assert found["USER"] not in ("0", "0:0", "root")


def test_what_the_image_copies_serves_with_the_packages_of_the_small_lock_alone(bundled_workspace, tmp_path):
    code, environment = tmp_path / "opt", tmp_path / "environment"
    for source, target in copied():
        if (REPOSITORY / source).is_dir():
            shutil.copytree(REPOSITORY / source, code / target)
    python = make_environment(environment)
    workspace = tmp_path / "workspace"
    shutil.copytree(bundled_workspace.root, workspace)
    options = [*container_command()[2:], "--workspace", str(workspace), "--host", "127.0.0.1", "--port", "0"]
    log = tmp_path / "log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [python, "-m", "cli", "serve", *options],
            cwd=code,
            env={"PATH": os.environ["PATH"]},
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    try:
        line = process.stdout.readline()
        assert '"url"' in line, line + log.read_text()
        url = json.loads(line)["url"]
        assert health_check(url, python) == 0
        wish = {"surface": "feed", "count": 5, "user_id": "u01"}
        answer = httpx.post(f"{url}/v1/recommend", json=wish, timeout=20)
        assert len(answer.json()["candidates"]) == 5, answer.text
        assert httpx.delete(f"{url}/v1/users/u01", timeout=20).status_code == 200  # loads what nothing else does
        process.terminate()
        assert process.wait(20) == 0, log.read_text()
        assert health_check(url, python) == 1
    finally:
        process.kill()
        process.communicate()


def health_check(url: str, python: Path) -> int:
    """Returns the exit code of the image's health check, asked of another address."""
    program, *words = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD ")[2])
    assert program == "python"
    command = [python, *(word.replace("http://127.0.0.1:8080", url) for word in words)]
    return subprocess.run(command, capture_output=True, timeout=30).returncode


def make_environment(folder: Path) -> Path:
    """Makes an environment of links to what the small lock names, and nothing else; returns its interpreter.

    The versions are the same: tests/architecture compares the locks.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    wanted = re.findall(r"^([A-Za-z0-9._-]+)==", (REPOSITORY / "requirements" / "serving.txt").read_text(), re.M)
    assert len(wanted) > 20
    chosen = [distribution(name) for name in wanted]
    names = {found.metadata["Name"] for found in chosen}
    others = {top for found in distributions() if found.metadata["Name"] not in names for top in tops(found)}
    for found in chosen:
        for top in tops(found) - others:
            if not (site / top).exists():
                (site / top).symlink_to(found.locate_file(top))
        for file in found.files or []:
            if file.parts[0] in others:  # a folder that it shares with packages of other sides, as `google`
                link(Path(str(file.locate())), site / file)
    return folder / "bin" / "python"


def tops(found: Distribution) -> set[str]:
    """Returns the entries of site-packages that a distribution has files in."""
    return {file.parts[0] for file in found.files or []} - {"..", "__pycache__"}


def link(source: Path, target: Path) -> None:
    pairs = [(source, target)]
    if source.suffix == ".py":
        pairs.append((Path(cache_from_source(str(source))), Path(cache_from_source(str(target)))))
    for there, here in pairs:
        if there.exists() and not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            here.symlink_to(there)
