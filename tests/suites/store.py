"""Laws of a `SessionStore`.

class TestMyStore(SessionStoreLaws):
    def open(self, path, max_items, **more): return MyStore(path, max_items, **more)
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys.errors import ContractError
from tests.suites.shared_laws import shared_law

USERS = st.sampled_from(["u", "v", "w"])
ITEMS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["append", "replace"]), st.dictionaries(USERS, ITEMS, max_size=3))
    | st.tuples(st.just("forget"), USERS),
    max_size=8,
)


class SessionStoreLaws:
    def open(self, path, max_items, **more):
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path):
        store = self.open(tmp_path / "store", 5)
        yield store
        store.close()

    @pytest.fixture(scope="class")
    def lasting(self, tmp_path_factory):
        """A store for many random sequences of changes."""
        store = self.open(tmp_path_factory.mktemp("lasting") / "store", 5)
        yield store
        store.close()

    def test_items_come_back_oldest_first(self, store):
        store.append({"u": ["a", "b"]})
        store.append({"u": ["c"]})
        assert store.recent("u", 5) == ["a", "b", "c"]

    def test_the_latest_are_returned_where_fewer_are_asked_for(self, store):
        store.append({"u": ["a", "b", "c"]})
        assert [store.recent("u", count) for count in (0, 1, 2)] == [[], ["c"], ["b", "c"]]

    def test_only_the_latest_are_kept(self, store):
        for number in range(9):
            store.append({"u": [f"i{number}"]})
        assert store.recent("u", 100) == ["i4", "i5", "i6", "i7", "i8"]
        store.append({"u": [f"j{number}" for number in range(9)]})
        assert store.recent("u", 100) == ["j4", "j5", "j6", "j7", "j8"]

    def test_an_item_may_come_twice(self, store):
        store.append({"u": ["a", "a"]})
        store.append({"u": ["a"]})
        assert store.recent("u", 5) == ["a", "a", "a"]

    def test_users_do_not_see_each_other(self, store):
        store.append({"u": ["a"], "v": ["b"]})
        store.append({"v": [f"i{number}" for number in range(9)]})
        assert store.recent("u", 5) == ["a"]

    def test_an_unknown_user_has_nothing(self, store):
        assert store.recent("nobody", 5) == []

    def test_replacing_sets_the_whole_history(self, store):
        store.append({"u": ["a", "b"], "v": ["c"]})
        store.replace({"u": ["d"], "w": [f"i{number}" for number in range(9)]})
        assert store.recent("u", 5) == ["d"]
        assert store.recent("v", 5) == ["c"]
        assert store.recent("w", 9) == ["i4", "i5", "i6", "i7", "i8"]

    def test_replacing_twice_is_replacing_once(self, store):
        for _ in range(2):
            store.replace({"u": ["a", "b"]})
        assert store.recent("u", 5) == ["a", "b"]

    def test_replacing_by_nothing_leaves_nothing(self, store):
        store.append({"u": ["a"]})
        store.replace({"u": []})
        assert store.recent("u", 5) == []

    def test_who_is_forgotten_has_nothing_and_may_begin_anew(self, store):
        store.append({"u": ["a"], "v": ["b"]})
        store.forget("u")
        assert (store.recent("u", 5), store.recent("v", 5)) == ([], ["b"])
        store.append({"u": ["c"]})
        assert store.recent("u", 5) == ["c"]

    def test_forgetting_somebody_unknown_changes_nothing(self, store):
        store.append({"u": ["a"]})
        store.forget("nobody")
        assert store.recent("u", 5) == ["a"]

    @shared_law
    @given(CHANGES)
    def test_it_behaves_as_lists_would(self, lasting, changes):
        lasting.replace({user: [] for user in "uvw"})
        lists = {user: [] for user in "uvw"}
        for verb, what in changes:
            getattr(lasting, verb)(what)
            if verb == "forget":
                lists[what] = []
            else:
                for user, items in what.items():
                    lists[user] = ((lists[user] if verb == "append" else []) + items)[-5:]
        assert {user: lasting.recent(user, 5) for user in "uvw"} == lists

    def test_all_is_there_after_it_was_closed_and_opened(self, tmp_path):
        store = self.open(tmp_path / "store", 5)
        store.append({"u": ["a", "b"], "Ünï 🎁": ["日本"]})
        store.close()
        again = self.open(tmp_path / "store", 5)
        assert (again.recent("u", 5), again.recent("Ünï 🎁", 5)) == (["a", "b"], ["日本"])
        again.close()

    def test_two_that_are_open_at_once_see_each_others_items(self, tmp_path):
        first, second = (self.open(tmp_path / "store", 5) for _ in range(2))
        first.append({"u": ["a"]})
        second.append({"u": ["b"]})
        assert first.recent("u", 5) == second.recent("u", 5) == ["a", "b"]
        first.close()
        second.close()

    def test_many_threads_may_append_and_read_at_once(self, tmp_path):
        store = self.open(tmp_path / "store", 1_000)

        def work(thread: int) -> list[str]:
            for number in range(20):
                store.append({f"u{thread}": [f"i{number}"], "all": [f"{thread}-{number}"]})
                store.recent("all", 10)
            return store.recent(f"u{thread}", 100)

        with ThreadPoolExecutor(8) as threads:
            own = list(threads.map(work, range(8)))
        assert own == [[f"i{number}" for number in range(20)]] * 8
        everything = store.recent("all", 1_000)
        assert sorted(everything) == sorted(f"{thread}-{number}" for thread in range(8) for number in range(20))
        for thread in range(8):
            mine = [item for item in everything if item.startswith(f"{thread}-")]
            assert mine == [f"{thread}-{number}" for number in range(20)]
        store.close()

    @pytest.mark.parametrize("verb", ["append", "replace"])
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"v": ["b"], "": ["c"]}, "`user_id` to have 1 to 128 characters, got ''"),
            ({"v": ["b", ""]}, "`item_id` to have 1 to 128 characters, got ''"),
            ({"v": ["b", "x" * 129]}, "`item_id` to have 1 to 128 characters"),
            ({"v": ["b", "\ud800"]}, "ids of whole Unicode characters"),
        ],
    )
    def test_ids_that_are_none_are_refused_and_nothing_is_kept(self, store, verb, change, message):
        store.append({"v": ["a"]})
        with pytest.raises(ContractError, match=message):
            getattr(store, verb)(change)
        assert store.recent("v", 5) == ["a"]
        store.append({"v": ["c"]})
        assert store.recent("v", 5) == ["a", "c"]

    def test_who_is_left_alone_for_the_time_to_live_is_forgotten_and_may_begin_anew(self, tmp_path):
        store = self.open(tmp_path / "store", 5, ttl_s=0.2)
        store.append({"u": ["a"]})
        assert store.recent("u", 5) == ["a"]
        time.sleep(0.3)
        assert store.recent("u", 5) == []
        store.append({"u": ["b"]})
        assert store.recent("u", 5) == ["b"]
        store.close()

    def test_each_write_begins_the_time_to_live_anew(self, tmp_path):
        store = self.open(tmp_path / "store", 5, ttl_s=2.0)
        store.append({"u": ["a"]})
        time.sleep(1.2)
        store.append({"u": ["b"]})
        time.sleep(1.2)
        assert store.recent("u", 5) == ["a", "b"]
        store.close()

    def test_a_time_to_live_of_nothing_is_refused(self, tmp_path):
        with pytest.raises(ContractError, match="`ttl_s` above 0, got 0"):
            self.open(tmp_path / "store", 5, ttl_s=0)

    def test_a_bound_below_1_is_refused(self, tmp_path):
        with pytest.raises(ContractError, match="`max_items` from 1 up, got 0"):
            self.open(tmp_path / "store", 0)
