"""What travels over HTTP: JSON bodies of requests and answers, with their limits.

The contract types of `recsys.contracts` state the laws; the types here state the shapes, and refuse what no law could
be asked about: unknown keys, NaN, numbers as text, lists without end.
"""

from serving.wire.feed import (
    BehaviourAnswer,
    CandidateAnswer,
    CandidateGiven,
    ReasonAnswer,
    RecommendAnswer,
    RecommendRequest,
    RerankAnswer,
    RerankedAnswer,
    RerankRequest,
    RetrieveAnswer,
    RetrievedAnswer,
    RetrieveRequest,
)
from serving.wire.operation import (
    BundleAnswer,
    DeviceFileAnswer,
    Fault,
    FileAnswer,
    HealthAnswer,
    ManifestAnswer,
    Problem,
    ReadyAnswer,
)
from serving.wire.people import EventGiven, EventsAnswer, EventsRequest, ForgottenAnswer
from serving.wire.shape import MAX_DIM, MAX_EXCLUDED, MAX_HISTORY, Component, ItemId, Score, Wire

__all__ = [
    "MAX_DIM",
    "MAX_EXCLUDED",
    "MAX_HISTORY",
    "BehaviourAnswer",
    "BundleAnswer",
    "CandidateAnswer",
    "CandidateGiven",
    "Component",
    "DeviceFileAnswer",
    "EventGiven",
    "EventsAnswer",
    "EventsRequest",
    "Fault",
    "FileAnswer",
    "ForgottenAnswer",
    "HealthAnswer",
    "ItemId",
    "ManifestAnswer",
    "Problem",
    "ReadyAnswer",
    "ReasonAnswer",
    "RecommendAnswer",
    "RecommendRequest",
    "RerankAnswer",
    "RerankRequest",
    "RerankedAnswer",
    "RetrieveAnswer",
    "RetrieveRequest",
    "RetrievedAnswer",
    "Score",
    "Wire",
]
