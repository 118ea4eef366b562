import pytest

from federated.simulation.views import find_local, join_weights, split_weights

WEIGHTS = ["sharpness", "recency", "kernel", "bias", "prior", "correction"]


@pytest.mark.parametrize(
    ("view", "local"),
    [("global", []), ("partially_local", ["sharpness", "recency", "prior"]), ("fully_local", WEIGHTS)],
)
def test_each_view_names_what_is_a_persons_own(view, local):
    assert split_weights(WEIGHTS, find_local(view, len(WEIGHTS)))[1] == local


@pytest.mark.parametrize("view", ["global", "partially_local", "fully_local"])
def test_what_is_split_can_be_joined(view):
    local = find_local(view, len(WEIGHTS))
    shared, own = split_weights(WEIGHTS, local)
    assert join_weights([*shared, *own], local) == WEIGHTS
