from __future__ import annotations

import dataclasses

import pytest

from recsys.errors import WorkspaceError
from recsys.storage.workspace import DatasetCard, Workspace

CARD = DatasetCard(
    name="synthetic",
    num_users=2,
    num_items=3,
    num_events=10,
    num_consented=7,
    num_private=2,
    num_heldout=1,
    split="edge-cloud",
    split_fingerprint="0123456789abcdef",
    seed=1,
)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path)


def test_a_card_comes_back_as_it_was(workspace):
    workspace.write_card(CARD)
    assert workspace.read_card() == CARD
    assert [path.name for path in workspace.root.iterdir()] == ["dataset.json"]


def test_a_later_card_takes_the_place_of_the_first(workspace):
    workspace.write_card(CARD)
    workspace.write_card(dataclasses.replace(CARD, seed=2))
    assert workspace.read_card().seed == 2


def test_without_a_card_the_command_that_makes_one_is_named(workspace):
    with pytest.raises(WorkspaceError, match=r"a dataset in the workspace .*, got none\. Run `tandem ingest"):
        workspace.read_card()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "x"}', '{"unknown": 1}'])
def test_a_card_that_is_unreadable_is_refused(workspace, text):
    (workspace.root / "dataset.json").write_text(text)
    with pytest.raises(WorkspaceError, match=r"a dataset card in .*dataset\.json, got unreadable text"):
        workspace.read_card()


def test_all_places_lie_under_the_root_and_differ(workspace):
    names = [name for name, value in vars(Workspace).items() if isinstance(value, property)]
    places = [getattr(workspace, name) for name in names]
    assert len(set(places)) == len(names) == 15
    assert all(place.is_relative_to(workspace.root) for place in places)
