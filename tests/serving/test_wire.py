from __future__ import annotations

import dataclasses
import math

import pytest
from pydantic import ValidationError

from recsys.contracts.bundle import FileEntry, Manifest
from recsys.contracts.feed import Candidate, FeedRequest, FeedResponse
from serving.wire.feed import CandidateAnswer, CandidateGiven, RecommendAnswer, RecommendRequest
from serving.wire.operation import FileAnswer, ManifestAnswer, Problem
from serving.wire.shape import MAX_DIM, MAX_EXCLUDED, MAX_HISTORY

OF_THE_SERVICE = {"degraded"}
"""What answers tell of the state that the service was in, which no contract knows."""


def fields(contract: type) -> set[str]:
    return {field.name for field in dataclasses.fields(contract)}


@pytest.mark.parametrize(
    ("shape", "contract"),
    [
        (RecommendRequest, FeedRequest),
        (RecommendAnswer, FeedResponse),
        (CandidateAnswer, Candidate),
        (CandidateGiven, Candidate),
        (ManifestAnswer, Manifest),
        (FileAnswer, FileEntry),
    ],
)
def test_shapes_have_the_fields_of_the_contracts_they_stand_for(shape, contract):
    assert set(shape.model_fields) - OF_THE_SERVICE == fields(contract)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e300, -1e10, True, "1", None, [1.0]])
def test_a_score_is_a_finite_number_of_sane_size(number):
    with pytest.raises(ValidationError, match="score"):
        CandidateGiven.model_validate({"item_id": "a", "score": number})


@pytest.mark.parametrize("number", [math.nan, math.inf, 1e5, False, "0.5", None])
def test_a_component_of_a_vector_is_too(number):
    with pytest.raises(ValidationError, match="query_vector"):
        RecommendRequest.model_validate({"surface": "feed", "count": 1, "query_vector": [0.0, number]})


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"surface": "Feed"}, "surface"),
        ({"count": 0}, "count"),
        ({"count": 2.5}, "count"),
        ({"count": "3"}, "count"),
        ({"count": True}, "count"),
        ({"now_ms": -1}, "now_ms"),
        ({"now_ms": 1_736_537_089_593_000}, "now_ms"),
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 129}, "user_id"),
        ({"user_id": "\ud800"}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"history": "i001"}, "history"),
        ({"history": ["x" * 129]}, "history"),
        ({"history": [None]}, "history"),
        ({"history": ["a"] * (MAX_HISTORY + 1)}, "history"),
        ({"query_vector": [0.0] * (MAX_DIM + 1)}, "query_vector"),
        ({"exclude_ids": ["a"] * (MAX_EXCLUDED + 1)}, "exclude_ids"),
        ({"exclude_ids": {"a": 1}}, "exclude_ids"),
        ({"country": "x"}, "country"),
    ],
)
def test_a_wish_outside_the_limits_is_refused_at_its_place(change, place):
    with pytest.raises(ValidationError, match=place):
        RecommendRequest.model_validate({"surface": "feed", "count": 1, **change})


def test_a_manifest_carries_the_contract_over():
    manifest = Manifest("v", 1, "d", "s", "e", 4, 5, 6, {"f": FileEntry("00", 7)}, "p", {"m": 0.5}, num_recent=8)
    answer = ManifestAnswer.from_contract(manifest).model_dump()
    assert answer == dataclasses.asdict(manifest)


def test_a_problem_leaves_out_what_it_has_not():
    problem = Problem(type="about:blank", title="t", status=404, detail="d")
    assert set(problem.to_json()) == {"type", "title", "status", "detail"}
