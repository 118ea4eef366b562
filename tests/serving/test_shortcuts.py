"""The short way to an endpoint gives what the long way gives, in every case."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from msgspec import to_builtins
from pydantic import ValidationError

from recsys.contracts.feed import Candidate, FeedResponse
from serving.engine import Ranked
from serving.reasons import Behaviour, Reason
from serving.wire.answers import write_recommended, write_reranked, write_retrieved
from serving.wire.feed import RecommendAnswer, RecommendRequest, RerankAnswer, RerankRequest, RetrieveAnswer
from serving.wire.given import GIVEN_LIST, GivenCandidate
from tests.serving.conftest import problem_of
from tests.serving.test_hostile_input import JSON, KEYS, LAWFUL, VALUES, st

RESPONSE = FeedResponse((Candidate("a", 2.5, "r"), Candidate('"\\é', -1.0)), "0001-abc", "0123")


@given(changes=st.dictionaries(KEYS, VALUES, max_size=2))
def test_what_pydantic_reads_is_what_python_reads(changes):
    """A body that the one takes and the other refuses would be judged by chance."""
    content = json.dumps({**LAWFUL, **changes})
    try:
        read = RecommendRequest.model_validate_json(content)
    except ValidationError:
        return
    assert read == RecommendRequest.model_validate(json.loads(content))


IDS = st.text(max_size=3) | st.just("x" * 300) | VALUES
CANDIDATES = st.fixed_dictionaries(
    {"item_id": IDS, "score": st.floats() | st.integers() | VALUES},
    optional={"room_id": IDS | st.none(), "extra": st.none()},
)


@given(
    body=st.fixed_dictionaries(
        {"history": st.lists(IDS, max_size=3) | VALUES, "candidates": st.lists(CANDIDATES, max_size=3) | VALUES},
        optional={"explain": st.booleans() | VALUES, "more": st.none()},
    )
)
def test_a_list_is_read_as_records_exactly_when_it_is_as_a_model(body):
    """Else FastAPI's way would be asked for words about a body in which it finds nothing wrong, or never asked."""
    content = json.dumps(body)
    try:
        careful = RerankRequest.model_validate_json(content)
    except ValidationError:
        with pytest.raises(ValueError, match=r"."):
            GIVEN_LIST.decode(content)
        return
    assert RerankRequest(**to_builtins(GIVEN_LIST.decode(content))) == careful


@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8", "application/x+json"])
def test_every_name_of_json_leads_to_the_same_answer(client, content_type):
    body = json.dumps(LAWFUL).encode()
    answer = client.post("/v1/recommend", content=body, headers={"Content-Type": content_type})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == client.post("/v1/recommend", content=body, headers=JSON).json()


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/octet-stream"])
def test_what_does_not_say_that_it_is_json_is_refused(client, content_type):
    answer = client.post(
        "/v1/rerank", content=b'{"history":[],"candidates":[]}', headers={"Content-Type": content_type}
    )
    assert "`Content-Type: application/json`" in problem_of(answer, 422)["detail"]


def test_written_candidates_are_those_of_the_models():
    recommended = RecommendAnswer.model_validate_json(write_recommended(RESPONSE, degraded=True))
    retrieved = RetrieveAnswer.model_validate_json(write_retrieved(RESPONSE))
    assert recommended.degraded
    for answer in (recommended, retrieved):
        rows = [(one.item_id, one.score, one.room_id) for one in answer.candidates]
        assert rows == [("a", 2.5, "r"), ('"\\é', -1.0, None)]
        assert (answer.bundle_version, answer.embedding_version) == ("0001-abc", "0123")
    assert set(json.loads(write_recommended(RESPONSE, degraded=False))) == set(RecommendAnswer.model_fields)
    assert set(json.loads(write_retrieved(RESPONSE))) == set(RetrieveAnswer.model_fields)


def test_a_written_order_is_that_of_the_model(bundle):
    item_ids = ("a", "b", '"\\c\n')
    given = [GivenCandidate(item_id=item_id, score=0.0, room_id=f'"room" {item_id}') for item_id in item_ids]
    given.append(GivenCandidate(item_id="d", score=0.0))
    reason = Reason(0.5, 0.25, -0.125, (Behaviour("h", 2.0), Behaviour("g", -1.0)))
    ranked = Ranked(known=[2, 0], scores=[1.5, 0.1], unknown=[1, 3])
    content = write_reranked(bundle.manifest, given, ranked, {2: reason})
    answer = RerankAnswer.model_validate_json(content)
    rows = [(one.item_id, one.score, one.room_id, one.known) for one in answer.candidates]
    assert rows == [
        ('"\\c\n', 1.5, '"room" "\\c\n', True),
        ("a", 0.1, '"room" a', True),
        ("b", None, '"room" b', False),
        ("d", None, None, False),
    ]
    assert answer.model_dump(mode="json") == json.loads(content), "every field is written, none by its default"
    told = answer.candidates[0].reason
    assert (told.cloud_rank, told.rank, told.cloud_score, told.own_score) == (2, 0, 0.5, 0.25)
    assert [(one.item_id, one.effect) for one in told.behaviours] == [("h", 2.0), ("g", -1.0)]
    assert [one.reason for one in answer.candidates[1:]] == [None, None, None]
