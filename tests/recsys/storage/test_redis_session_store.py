from __future__ import annotations

import time

import pytest
import redis

from recsys.errors import ContractError, StoreAwayError
from recsys.storage.redis_session_store import RedisSessionStore
from tests.redis_server import own_redis, redis_folder, redis_url
from tests.suites.store import SessionStoreLaws

__all__ = ["own_redis", "redis_folder", "redis_url"]


class TestRedisSessionStore(SessionStoreLaws):
    @pytest.fixture(autouse=True, scope="class")
    def _server(self, request, redis_url):
        request.cls.url = redis_url

    def open(self, path, max_items, **more):
        return RedisSessionStore(self.url, max_items, prefix=f"{path}:", **more)


def test_memory_does_not_grow_with_what_a_user_does(redis_url):
    store = RedisSessionStore(redis_url, 5, prefix="growth:")
    client = redis.Redis.from_url(redis_url)
    sizes = []
    for _ in range(3):
        store.append({"u": [f"item-{number:05d}" for number in range(500)]})
        sizes.append(client.memory_usage("growth:u"))
    assert sizes[0] == sizes[1] == sizes[2]
    assert 0 < client.pttl("growth:u") <= 2_592_000_000
    store.close()
    client.close()


def test_a_server_that_is_away_is_told_of_at_once_and_asked_again_after_a_second(own_redis):
    store = RedisSessionStore(own_redis.url, 5)
    store.append({"u": ["a"]})
    own_redis.stop()
    for work in (lambda: store.recent("u", 5), lambda: store.append({"u": ["b"]}), lambda: store.forget("u")):
        with pytest.raises(StoreAwayError, match=r"an answer of the session store on Redis, got .* Try again"):
            work()
    own_redis.start()
    with pytest.raises(StoreAwayError, match="no answer a moment ago"):
        store.recent("u", 5)
    time.sleep(1.1)
    assert store.recent("u", 5) == ["a"]
    store.close()


def test_an_address_that_is_none_of_redis_is_refused():
    with pytest.raises(ContractError, match="the address of a Redis server, got one that is none"):
        RedisSessionStore("http://127.0.0.1", 5)


def test_under_a_bound_over_all_users_those_left_alone_longest_go_first(own_redis):
    """As serving/README.md advises: `maxmemory` with `maxmemory-policy volatile-ttl`."""
    store = RedisSessionStore(own_redis.url, 200)
    client = redis.Redis.from_url(own_redis.url, decode_responses=True)
    bound = client.info("memory")["used_memory"] + 2_000_000
    client.config_set("maxmemory", bound)
    client.config_set("maxmemory-policy", "volatile-ttl")
    user_ids = [f"user-{number:08d}" for number in range(2_000)]
    for number in range(0, len(user_ids), 20):
        store.append({user_id: [f"item-{item:06d}" for item in range(200)] for user_id in user_ids[number:][:20]})
    kept = {number for number, user_id in enumerate(user_ids) if store.recent(user_id, 1)}
    gone = set(range(len(user_ids))) - kept
    assert len(user_ids) - 1 in kept
    assert len(gone) > 500
    assert sum(gone) / len(gone) < sum(kept) / len(kept)
    assert client.info("memory")["used_memory"] <= bound * 1.05
    store.close()
    client.close()


def test_a_server_that_is_full_and_may_drop_nobody_is_as_one_that_is_away(own_redis):
    store = RedisSessionStore(own_redis.url, 200)
    client = redis.Redis.from_url(own_redis.url)
    client.config_set("maxmemory", 1)
    client.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(StoreAwayError, match="got OutOfMemoryError"):
        store.append({"u": ["a"]})
    store.close()
    client.close()
