from __future__ import annotations

import pytest

from benchmarks.arms import ARMS, choose_arms
from recsys.errors import ConfigError


def test_arms_come_in_the_order_of_the_table_whatever_order_they_are_named_in() -> None:
    assert choose_arms("blend, popularity") == ("popularity", "blend")
    assert choose_arms(None) == tuple(ARMS)


@pytest.mark.parametrize(("names", "told"), [("blend,bert", "got bert"), (",", "got none")])
def test_unknown_arms_are_refused_with_the_known_ones(names: str, told: str) -> None:
    with pytest.raises(ConfigError, match=f"out of popularity, recent_popularity, .*{told}"):
        choose_arms(names)
