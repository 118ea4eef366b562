"""The same rounds by one worker and by several, some of which are killed, in a process of its own.

python -m tests.federated.simulation.fleet_rehearsal FOLDER
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import numpy as np
import psutil

from federated.simulation.algorithms.registry import build_process
from federated.simulation.execution import execute_on
from federated.simulation.fleet import cut_clients, execute_on_fleet
from federated.simulation.packed.cohort import cut_cohort, to_dataset
from federated.simulation.packed.measurement import read_weights, start
from federated.simulation.packed.store import Column, hold_store, write_table
from federated.simulation.packed.subjects import reference_subject
from federated.simulation.worker import run_worker
from recsys.config.federated import RoundSettings, WorkersSettings
from recsys.errors import ConfigError, FederationError
from recsys.progress import Silent

NUM_USERS = 6
NUM_ROUNDS = 2
LOCAL_EPOCHS = 400  # so that a part takes a while, in which its worker can be killed
SEED = 3


class Notes(Silent):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def note(self, text: str) -> None:
        self.texts.append(text)


def program_of(worker):
    (program,) = psutil.Process(worker.warden.pid).children()
    return program


def kill_at_work(worker, within_s=240.0):
    """Kills a worker's program, as `kill -9` does, once it has computed for a while from now on."""
    program = program_of(worker)

    def watch(before):
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and program.cpu_times().user < before + 0.2:
            time.sleep(0.01)
        program.kill()

    threading.Thread(target=watch, args=(program.cpu_times().user,), daemon=True).start()


class Rehearsal:
    """Six people, each a pack, and a process; what is compared are weights after some rounds."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.stack = stack
        self.stacks: dict[str, ExitStack] = {}
        subject = reference_subject(1)
        device = subject.settings.device.model_copy(update={"local_epochs": LOCAL_EPOCHS})
        settings = subject.settings.model_copy(update={"device": device, "rounds": RoundSettings(users_per_pack=1)})
        store = stack.enter_context(hold_store(folder / "examples", subject.fields, NUM_USERS * 100))
        extents = {str(number): store.add(str(number), subject.draw(SEED, number)) for number in range(NUM_USERS)}
        self.packs = [to_dataset(pack) for pack in cut_cohort(extents, 1)]
        self.probe = write_table(folder / "examples" / "probe.bin", np.arange(4, dtype=np.int32))
        self.process = build_process(subject.pack(folder), store.columns, settings)
        self.weights = subject.draw_weights(SEED)

    def start_worker(self, name, port=0):
        own = self.stack.enter_context(ExitStack())
        worker = own.enter_context(run_worker(self.folder / f"{name}.log", 60.0, port=port))
        self.stacks[worker.address] = own
        return worker

    def start_again(self, worker):
        """Starts a worker in the place of one that was killed."""
        self.stacks[worker.address].close()
        return self.start_worker(f"{worker.port} again", worker.port)

    def advance(self, state):
        return self.process.next(state, self.packs).state

    def run(self, before_round=lambda number: None):
        state = start(self.process, self.weights)
        for number in range(1, NUM_ROUNDS + 1):
            before_round(number)
            state = self.advance(state)
        return read_weights(self.process, state)

    def join(self, workers, notes=None, **changes):
        settings = WorkersSettings(addresses=[worker.address for worker in workers], answer_s=1.0, **changes)
        return execute_on_fleet(settings, self.probe, notes or Notes())


def rehearse(rehearsal):
    first, second = rehearsal.start_worker("first"), rehearsal.start_worker("second")
    with execute_on(first):
        own = rehearsal.run()
    with rehearsal.join([first]):
        one = rehearsal.run()
    with rehearsal.join([first, second]):
        two = rehearsal.run()
    dropped, notes = drop(rehearsal, first, second)
    retried, more = retry(rehearsal, rehearsal.start_worker("third"), rehearsal.start_worker("fourth"))
    found = {"own": own, "one": one, "two": two, "dropped": dropped["weights"], "retried": retried}
    return {
        "moved": distance(own, rehearsal.weights),
        "off_by": {name: distance(weights, own) for name, weights in found.items()},
        "same_as_one": {name: same(weights, one) for name, weights in found.items()},
        "dropped": [first.address, second.address, notes, dropped["error"]],
        "retried": more,
        "refusals": refuse(rehearsal, rehearsal.start_worker("fifth")),
        "parts": [cut(rehearsal, number) for number in (0, 1, 3, 20)],
    }


def drop(rehearsal, first, second):
    """One of two is killed in the first round, the other in one more."""
    notes = Notes()
    with rehearsal.join([first, second], notes):
        weights = rehearsal.run(lambda number: kill_at_work(second) if number == 1 else None)
        kill_at_work(first)
        return {"weights": weights, "error": fail(lambda: rehearsal.advance(start(rehearsal.process, weights)))}, (
            notes.texts
        )


def retry(rehearsal, third, fourth):
    """One of two is killed in the first round and started again; then both, and one is started once a round waits."""

    class Reviver(Notes):
        def note(self, text):
            super().note(text)
            if text.endswith(" 0 left to do its part."):
                rehearsal.start_again(third)

    notes, revived = Reviver(), []

    def before_round(number):
        if number == 1:
            kill_at_work(fourth)
            return
        revived.append(rehearsal.start_again(fourth))
        while not notes.texts[-1].endswith("is back."):
            rehearsal.process.initialize()

    addresses = [third.address, fourth.address]
    settings = WorkersSettings(addresses=addresses, lost="retry", answer_s=5.0)
    with execute_on_fleet(settings, rehearsal.probe, notes):
        weights = rehearsal.run(before_round)
        for worker in (third, revived[0]):
            program_of(worker).kill()
            worker.warden.wait()
        again = rehearsal.run()
    return weights, {"addresses": addresses, "notes": notes.texts, "again": same(weights, again)}


def refuse(rehearsal, worker):
    """What is said of workers that do not answer, are none, or do not see what this process sees."""
    elsewhere = rehearsal.folder / "elsewhere"
    refusals = {"silent": fail(lambda: enter("localhost:9", rehearsal.probe))}
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("localhost:0")
    server.start()
    refusals["other"] = fail(lambda: enter(f"localhost:{port}", rehearsal.probe))
    server.stop(None)
    write_table(elsewhere / "probe.bin", np.arange(4, dtype=np.int32))
    probe = Column(Path("/proc/self/cwd/probe.bin"), np.dtype(np.int32), (4,))  # a path that is another to each process
    here = Path.cwd()
    os.chdir(elsewhere)
    refusals["missing"] = fail(lambda: enter(worker.address, probe))
    os.chdir(here)
    return {**refusals, "altered": alter(rehearsal, probe, here)}


def alter(rehearsal, probe, here):
    """A worker that finds another file under the same name."""
    there = rehearsal.folder / "there"
    write_table(there / "probe.bin", np.zeros(4, np.int32))
    os.chdir(there)
    worker = rehearsal.start_worker("sixth")
    os.chdir(rehearsal.folder / "elsewhere")
    said = fail(lambda: enter(worker.address, probe))
    os.chdir(here)
    return said


def enter(address, probe):
    with execute_on_fleet(WorkersSettings(addresses=[address], answer_s=1.0), probe, Notes()):
        pass


def cut(rehearsal, num_packs):
    """How many packs each part has, and whether they are still in their order."""
    from tensorflow_federated import structure

    packs = list(range(num_packs))
    argument = structure.Struct([("state", "s"), ("client_data", packs)])
    parts = cut_clients(argument, rehearsal.process.next.type_signature.parameter)
    flat = [pack for part in parts for pack in part.client_data]
    return [[len(part.client_data) for part in parts], flat == packs, {part.state for part in parts} == {"s"}]


def fail(call) -> str:
    try:
        call()
    except (ConfigError, FederationError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


def distance(one, other) -> float:
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    with ExitStack() as stack:
        result = rehearse(Rehearsal(Path(sys.argv[1]), stack))
    sys.stdout.write(json.dumps(result) + "\n")
