"""Lists for practice on the world of two circles."""

import dataclasses

import numpy as np
import pytest

from pipelines.training.examples import read_sequences
from pipelines.training.lists import CandidateLists
from pipelines.training.practice import make_practice
from pipelines.training.ranker_stage import fit_ranker
from pipelines.training.requests import validation_requests
from recsys.config.cloud import RankerSettings
from recsys.features.item_to_item import HISTORY_LENGTH
from recsys.features.ranking import RANKING_FEATURES
from recsys.models.ranker import Ranker
from recsys.progress import Silent
from tests.pipelines.training.conftest import RANKER, RETRIEVAL, lists_of

ALL = {"lagging_share": 1.0, "drawn_share": 1.0}
SIMILARITY = RANKING_FEATURES.index("max_similarity")


def settings_with(**shares):
    return RankerSettings(**{**RANKER.model_dump(), **shares})


@pytest.fixture
def sequences(examples):
    return read_sequences(examples)


@pytest.fixture
def requests(sequences):
    return validation_requests(sequences)


def test_the_cloud_knows_less_than_the_query_vector_tells(maker, requests, sequences):
    lagging, _ = make_practice(maker, requests, sequences, settings_with(**ALL), seed=0)
    whole = maker.propose(requests, sequences, RANKER)
    np.testing.assert_array_equal(lagging.queries, whole.queries)
    np.testing.assert_array_equal(lagging.candidates, whole.candidates)
    nearest = lagging.features[:, :, SIMILARITY]
    knows_nothing = ((nearest == -1.0) | (lagging.candidates == 0)).all(axis=1)
    differs = (lagging.features != whole.features).any(axis=(1, 2))
    assert 0.15 < knows_nothing.mean() < 0.6
    assert differs.mean() > 0.9


def test_features_tell_of_no_more_than_is_known(maker, requests, sequences):
    earlier = np.maximum(sequences.offsets[requests.users], requests.places - 3)
    lagging = maker.propose(requests, sequences, RANKER, known=earlier)
    past = sequences.padded_histories(requests.users, earlier, HISTORY_LENGTH)
    scores = np.einsum("nd,nkd->nk", lagging.queries, maker.vectors[lagging.candidates])
    np.testing.assert_allclose(lagging.features, maker._describe(lagging.candidates, scores, past), atol=1e-5)


def test_drawn_lists_hold_the_choice_and_nothing_of_the_history(maker, requests, sequences):
    _, drawn = make_practice(maker, requests, sequences, settings_with(**ALL), seed=0)
    assert len(drawn) == len(requests)
    assert (drawn.labels >= 0).all()
    rows = np.arange(len(drawn))
    np.testing.assert_array_equal(drawn.candidates[rows, drawn.labels], requests.targets)
    for user, place, candidates in zip(requests.users, requests.places, drawn.candidates, strict=True):
        shown = candidates[candidates > 0]
        assert len(np.unique(shown)) == len(shown) <= RANKER.num_candidates
        assert not np.isin(shown, sequences.items[sequences.offsets[user] : place]).any()
    proposed = maker.propose(requests, sequences, RANKER)
    assert (drawn.candidates != proposed.candidates).any(axis=1).mean() > 0.9


def test_shares_say_how_many_and_seeds_draw_them(maker, requests, sequences):
    assert make_practice(maker, requests, sequences, settings_with(lagging_share=0.0, drawn_share=0.0), 0) == ()
    half = settings_with(lagging_share=0.5, drawn_share=0.0)
    first, again, other = (make_practice(maker, requests, sequences, half, seed)[0] for seed in (1, 1, 2))
    assert 0.2 < len(first) / len(requests) < 0.8
    np.testing.assert_array_equal(first.features, again.features)
    assert len(first) != len(other) or (first.users != other.users).any()


def test_practice_teaches_and_does_not_judge(maker, examples, requests, sequences):
    plain = lists_of(maker, examples)
    made = make_practice(maker, requests, sequences, settings_with(**ALL), seed=0)
    practised = dataclasses.replace(plain, practice=made)
    reports = [fit_ranker(Ranker(RETRIEVAL.dim, RANKER), lists, RANKER, 0, Silent()) for lists in (plain, practised)]
    assert reports[1].num_lists > reports[0].num_lists
    assert reports[1].retrieval_ndcg_at_10 == reports[0].retrieval_ndcg_at_10


def test_lists_are_joined_in_their_order(maker, requests, sequences):
    lists = maker.propose(requests, sequences, RANKER)
    rows = np.arange(len(lists))
    joined = CandidateLists.join([lists.take(rows[:3]), lists.take(rows[3:])])
    for field in dataclasses.fields(CandidateLists):
        np.testing.assert_array_equal(getattr(joined, field.name), getattr(lists, field.name))
