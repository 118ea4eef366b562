"""The training stages on a world of two circles: small, real, and learnable."""

import json

import numpy as np
import pytest

from pipelines.training.examples import read_catalogue, read_sequences
from pipelines.training.ranker_stage import fit_ranker
from pipelines.training.requests import validation_requests
from pipelines.training.retrieval_stage import Encoder, build_retrieval, fit_retrieval
from pipelines.training.stage import RankerSources, make_device_tower, train_ranker, train_retrieval
from pipelines.training.trail import Trail
from recsys.config.cloud import CloudSettings, RankerSettings
from recsys.config.federated import DeviceSettings
from recsys.contracts import bundle as names
from recsys.errors import TrainingError
from recsys.features.ranking import RANKING_FEATURES
from recsys.models.ranker import Ranker
from recsys.models.weights import restore_weights
from recsys.progress import Silent
from recsys.runtime.tower import Tower
from tests.pipelines.training.conftest import NUM_ITEMS, RANKER, RETRIEVAL, count_circles, lists_of, write_circles

SETTINGS = CloudSettings(retrieval=RETRIEVAL, ranker=RANKER)
DEVICE = DeviceSettings(history_length=4, hidden_units=(6, 3))
ALL_ITEMS = np.arange(NUM_ITEMS + 1, dtype=np.int32)


def train(examples, folder, settings=SETTINGS, progress=None, trail=None):
    """Runs the stages one after the other, each into a folder of its name; returns the metrics of all."""
    progress = progress or Silent()
    own = {name: trail.of(name) if trail else None for name in ("retrieval", "ranker")}
    metrics = train_retrieval(examples, folder / "retrieval", settings.retrieval, 1, progress, own["retrieval"])
    statistics = count_circles(examples, examples / "statistics")
    sources = RankerSources(examples, statistics.parent, folder / "retrieval")
    metrics |= train_ranker(sources, folder / "ranker", settings, 1, progress, own["ranker"])
    make_device_tower(folder / "device", settings.retrieval.dim, DEVICE, 1)
    return metrics


def files_of(folder):
    """All files but the metrics, which hold seconds, by their path."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "metrics.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a training, and its metrics."""
    examples = write_circles(tmp_path_factory.mktemp("examples"))
    folder = tmp_path_factory.mktemp("models")
    return folder, train(examples, folder)


def test_a_device_tower_with_weights_that_are_given_is_the_one_that_had_them(trained, tmp_path):
    folder, _ = trained
    weights = (folder / "device" / "device_tower.npz").read_bytes()
    make_device_tower(tmp_path / "again", SETTINGS.retrieval.dim, DEVICE, 9, weights)
    make_device_tower(tmp_path / "other", SETTINGS.retrieval.dim, DEVICE, 9)
    assert files_of(tmp_path / "again") == files_of(folder / "device")
    assert files_of(tmp_path / "other") != files_of(folder / "device")


def test_training_writes_what_a_bundle_needs_and_its_metrics(trained):
    folder, metrics = trained
    assert sorted(files_of(folder)) == [
        "device/device_tower.npz",
        "device/device_tower.tflite",
        "device/device_tower_int8.tflite",
        "device/device_tower_training.tflite",
        "ranker/ranker.npz",
        "ranker/ranker.tflite",
        "retrieval/item_tower.tflite",
        "retrieval/query_tower.tflite",
        "retrieval/query_tower_int8.tflite",
        "retrieval/retrieval.npz",
    ]
    written = [json.loads((folder / name / "metrics.json").read_text()) for name in ("retrieval", "ranker")]
    assert written[0] | written[1] == metrics
    assert metrics["retrieval_ndcg_at_10"] > 0.9
    assert metrics["retrieval_recall_at_100"] == 1.0


def test_the_towers_know_what_comes_next(trained, examples):
    folder, _ = trained
    item_tower = Tower((folder / "retrieval" / names.ITEM_TOWER_FILE).read_bytes(), "embed")
    query_tower = Tower((folder / "retrieval" / names.QUERY_TOWER_FILE).read_bytes(), "encode")
    vectors = item_tower(item_index=ALL_ITEMS, categories=read_catalogue(examples).categories)["vector"]
    history = np.zeros((1, 6, 8), np.float32)
    history[0, 1:] = vectors[[3, 4, 5, 6, 7]]
    query = query_tower(history=history, history_mask=np.array([[0, 1, 1, 1, 1, 1]], np.float32))["query"]
    assert np.argmax(vectors[1:] @ query[0]) + 1 == 8


def test_equal_seeds_give_equal_files(trained, examples, tmp_path):
    train(examples, tmp_path / "again")
    assert files_of(tmp_path / "again") == files_of(trained[0])


class CutOffError(Exception):
    """Stands for the end of a process."""


class Cut(Silent):
    """Ends a training when a stage tells of an epoch."""

    def __init__(self, stage, epoch):
        self._cut, self._now = (stage, epoch), ""

    def stage(self, name, total=None):
        self._now = name

    def advance(self, done, **figures):
        if (self._now, done) == self._cut:
            raise CutOffError


def test_a_training_cut_off_in_either_fit_ends_in_the_same_files(tmp_path, examples):
    """With dropout of activations and of ids, which are drawn from the step that the optimizer counts."""
    settings = RETRIEVAL.model_copy(update={"dropout": 0.2, "id_dropout": 0.2, "max_epochs": 4})
    settings = SETTINGS.model_copy(update={"retrieval": settings})
    trail = Trail(tmp_path / "checkpoints", tmp_path / "curves")
    train(examples, tmp_path / "whole", settings)
    for stage, epoch in (("training retrieval", 2), ("training retrieval", 4), ("training the ranker", 1)):
        with pytest.raises(CutOffError):
            train(examples, tmp_path / "cut", settings, Cut(stage, epoch), trail)
    assert sorted(path.name for path in trail.checkpoints.iterdir()) == ["ranker", "retrieval"]
    train(examples, tmp_path / "resumed", settings, trail=trail)
    assert files_of(tmp_path / "resumed") == files_of(tmp_path / "whole")
    assert sorted(path.name for path in trail.curves.iterdir()) == ["ranker", "retrieval"]


@pytest.mark.parametrize(("decay_epochs", "left"), [(0, 0.03), (4, 0.015), (2, 0.0)])
def test_the_rate_falls_to_nothing_over_its_passes(examples, decay_epochs, left):
    settings = RETRIEVAL.model_copy(update={"max_epochs": 2, "decay_epochs": decay_epochs})
    sequences, catalogue = read_sequences(examples), read_catalogue(examples)
    model = build_retrieval(catalogue, settings, seed=1)
    fit_retrieval(model, sequences, catalogue, settings, seed=1, progress=Silent())
    assert float(model.optimizer.learning_rate) == pytest.approx(left, abs=0.006)  # epochs vary in length


def test_written_weights_restore_the_retrieval_model(trained, examples, retrieval):
    catalogue = read_catalogue(examples)
    restore_weights(retrieval, (trained[0] / "retrieval" / "retrieval.npz").read_bytes())
    tower = Tower((trained[0] / "retrieval" / names.ITEM_TOWER_FILE).read_bytes(), "embed")
    expected = tower(item_index=ALL_ITEMS, categories=catalogue.categories)["vector"]
    np.testing.assert_allclose(retrieval.item_tower(ALL_ITEMS, catalogue.categories), expected, atol=1e-5)


def test_lists_hold_what_retrieval_proposes_on_the_surface_of_the_choice(examples, maker):
    sequences, catalogue = read_sequences(examples), maker.catalogue
    requests = validation_requests(sequences)
    lists, vectors = maker.propose(requests, sequences, RANKER), maker.vectors
    histories = sequences.padded_histories(requests.users, requests.places, 6)
    queries = Encoder(maker.retrieval).encode(histories, vectors)
    for row in (0, 1, 2, 3, len(requests) - 1):
        shown = set(np.flatnonzero(catalogue.surfaces == catalogue.surfaces[requests.targets[row]]))
        shown -= set(sequences.items[sequences.offsets[requests.users[row]] : requests.places[row]])
        scores = vectors @ queries[row]
        expected = sorted(shown, key=lambda item: (-scores[item], item))
        assert lists.candidates[row].tolist() == (expected + [0] * 10)[:10]
        assert lists.candidates[row, lists.labels[row]] == requests.targets[row]
        assert (lists.features[row, len(expected) :] == 0).all()
        np.testing.assert_allclose(lists.features[row, : len(expected), 0].mean(), 0, atol=1e-5)


def test_the_next_item_of_the_circle_has_the_strongest_transition_of_its_list(examples, maker):
    lists = lists_of(maker, examples).proposed
    transitions = lists.features[:, :, RANKING_FEATURES.index("transitions")]
    assert np.array_equal(transitions.argmax(axis=1), lists.labels)


def test_an_untrained_ranker_stands_where_retrieval_stands(examples, maker):
    settings = RankerSettings(num_candidates=10, hidden_units=(4,), learning_rate=1e-9, max_epochs=1)
    report = fit_ranker(Ranker(8, settings), lists_of(maker, examples), settings, 1, Silent())
    assert report.ranker_ndcg_at_10 == pytest.approx(report.retrieval_ndcg_at_10)
    assert 0 < report.retrieval_ndcg_at_10 < 1
    assert (report.num_lists, report.num_shown, report.aucs) == (128, 0, {})


def test_no_list_with_the_choice_is_refused(examples, maker):
    lists = lists_of(maker, examples)
    lists.proposed.labels[:] = -1
    with pytest.raises(TrainingError, match="Expected validation items among the first 10 candidates"):
        fit_ranker(Ranker(8, RANKER), lists, RANKER, 1, Silent())
