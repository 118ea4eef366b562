import numpy as np
import pytest

from pipelines.training.examples import read_catalogue, read_sequences
from pipelines.training.quantisation import export_query_towers, relative_distance
from pipelines.training.retrieval_stage import Encoder, build_retrieval
from recsys.cascade.rerank import QueryEncoder
from recsys.config.cloud import RetrievalSettings
from recsys.contracts.bundle import QUERY_TOWER_FILE, QUERY_TOWER_INT8_FILE
from recsys.errors import TrainingError
from recsys.models.export import INT8_BOUND

SETTINGS = RetrievalSettings(dim=64, history_length=6, num_blocks=1)


@pytest.fixture
def retrieval(examples):
    """As it is initialised, but large enough that its weights are rounded to bytes."""
    return build_retrieval(read_catalogue(examples), SETTINGS, seed=1)


def test_the_distance_is_relative_to_the_length_of_the_exact_vector():
    exact = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    coarse = np.array([[3.0, 4.5], [0.0, 2.0]], np.float32)
    np.testing.assert_allclose(relative_distance(exact, coarse), [0.1, 0.0])


def test_both_towers_answer_alike_on_the_histories_of_training(examples, retrieval):
    sequences, catalogue = read_sequences(examples), read_catalogue(examples)
    towers, worst = export_query_towers(retrieval, sequences, catalogue)
    assert len(towers[QUERY_TOWER_INT8_FILE]) < len(towers[QUERY_TOWER_FILE])
    assert 0 < worst <= INT8_BOUND
    exact, coarse = (QueryEncoder(towers[name]) for name in (QUERY_TOWER_FILE, QUERY_TOWER_INT8_FILE))
    history = Encoder(retrieval).embed(catalogue)[sequences.items[: sequences.offsets[1]]]
    assert relative_distance(exact.encode(history)[None], coarse.encode(history)[None])[0] <= worst


def test_a_tower_that_bytes_cannot_hold_is_refused(examples, retrieval):
    """One weight is so large that all others of its layer round to zero; it hangs on a unit that never fires."""
    weights = retrieval.query_tower.weights
    (place,) = (place for place, weight in enumerate(weights) if weight.shape == (128, 64))
    expand_bias, contract = weights[place - 1 : place + 1]
    expand_bias.assign(np.where(np.arange(expand_bias.shape[0]) == 0, -1e3, 0.5))
    contract.assign(np.where(np.arange(contract.shape[0])[:, None] == 0, 1e4, contract.numpy()))
    with pytest.raises(TrainingError, match=r"Expected int8 queries within 0\.05 of the float ones .* on 80 histories"):
        export_query_towers(retrieval, read_sequences(examples), read_catalogue(examples))
