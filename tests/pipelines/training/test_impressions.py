"""Lists that were shown, out of rows that can be read by eye; rows stand a millisecond apart."""

from __future__ import annotations

from pathlib import Path

from pipelines.training.impressions import Shown, read_shown
from recsys.features.tasks import TASKS
from tests.pipelines.training.conftest import write_events

FEED, LIVE = 0, 1
TRAINED, LATE = 0, 1


def shown(folder: Path, rows: list[tuple], gap_s: float = 60.0, num_candidates: int = 10) -> Shown:
    other = [("z", 9, "click", FEED, TRAINED)]  # a log without any choice is refused before lists are read
    return read_shown(write_events(folder, rows + other), gap_s, num_candidates, history_length=3)


def fulfilled(lists: Shown, row: int, slot: int) -> set[str]:
    return {task for task, done in zip(TASKS, lists.fulfilled[row, slot], strict=True) if done}


def test_a_session_becomes_a_list_with_what_was_done_about_each_item(tmp_path: Path) -> None:
    rows = [("u", 9, "click", FEED, TRAINED), ("u", 8, "like", FEED, TRAINED)]
    rows += [("u", item, "impression", FEED, LATE) for item in (3, 1, 2)]
    rows += [("u", 1, "click", FEED, LATE), ("u", 1, "like", FEED, LATE), ("u", 2, "dislike", FEED, LATE)]
    lists = shown(tmp_path, rows)
    assert lists.candidates.tolist() == [[3, 1, 2]]
    assert lists.histories.tolist() == [[0, 9, 8]]
    assert [fulfilled(lists, 0, slot) for slot in range(3)] == [set(), {"click", "like"}, set()]


def test_what_follows_a_dislike_or_goes_before_it_fulfils_nothing(tmp_path: Path) -> None:
    rows = [("u", 1, action, FEED, LATE) for action in ("impression", "click", "dislike")]
    assert fulfilled(shown(tmp_path, rows), 0, 0) == set()


def test_a_pause_ends_a_list_and_later_choices_are_no_history_of_earlier_lists(tmp_path: Path) -> None:
    rows = [("u", 1, "impression", FEED, LATE), ("u", 1, "click", FEED, LATE)]
    rows += [("v", 7, "impression", FEED, LATE)] * 5  # five milliseconds pass
    rows += [("u", 2, "impression", FEED, LATE)]
    lists = shown(tmp_path, rows, gap_s=0.003)
    of_u = [row for row, user in enumerate(lists.users.tolist()) if user == 0]
    assert lists.candidates[of_u, 0].tolist() == [1, 2]
    assert lists.histories[of_u].tolist() == [[0, 0, 0], [0, 0, 1]]


def test_surfaces_do_not_share_a_list(tmp_path: Path) -> None:
    rows = [("u", 1, "impression", FEED, LATE), ("u", 13, "impression", LIVE, LATE), ("u", 2, "impression", FEED, LATE)]
    assert shown(tmp_path, rows).candidates.tolist() == [[1, 2], [13, 0]]


def test_a_long_session_is_divided(tmp_path: Path) -> None:
    rows = [("u", item, "impression", FEED, LATE) for item in (5, 4, 3)]
    assert shown(tmp_path, rows, num_candidates=2).candidates.tolist() == [[5, 4], [3, 0]]


def test_a_session_that_never_tells_what_was_not_taken_up_teaches_nothing(tmp_path: Path) -> None:
    assert len(shown(tmp_path, [("u", 1, "click", FEED, LATE), ("u", 2, "like", FEED, LATE)])) == 0


def test_training_rows_are_no_list_and_an_item_answered_just_before_is_left_out(tmp_path: Path) -> None:
    rows = [
        ("u", 1, "impression", FEED, TRAINED),
        ("u", 1, "impression", FEED, LATE),
        ("u", 2, "impression", FEED, LATE),
    ]
    assert shown(tmp_path, rows).candidates.tolist() == [[2]]


def test_people_without_any_choice_stand_behind_the_others(tmp_path: Path) -> None:
    rows = [("a", 1, "impression", FEED, LATE), ("b", 2, "impression", FEED, LATE), ("b", 2, "click", FEED, LATE)]
    lists = shown(tmp_path, rows)
    firsts = lists.candidates[:, 0].tolist()
    assert dict(zip(lists.users.tolist(), firsts, strict=True)) == {0: 2, 2: 1}  # z is 1, and was shown nothing
