"""Keys in the ledger, and what an owner sees of it."""

import redis

from ledger import Keys, Ledger, access
from lowland.spec.access import Scope


def test_a_ledger_is_open_until_it_has_its_first_key_and_closed_after_its_last(ledger: Ledger) -> None:
    def outcome() -> str:
        return ledger.run(access.recognize()).outcome

    assert outcome() == "open"
    made = ledger.run(access.create_key("lowland_k", owner="ada", scopes=[Scope.READ]))
    assert outcome() == "unknown"
    ledger.run(access.revoke_key(made.id))
    assert outcome() == "unknown"
    ledger.run(access.revoke_all_keys())
    assert outcome() == "open"


def test_a_key_is_known_by_its_digest_with_all_that_was_said_of_it(ledger: Ledger) -> None:
    made = ledger.run(
        access.create_key(
            "lowland_k", owner="ada", scopes=[Scope.READ, Scope.ADMIN], name="desk", rate_limit="5/day", quota=3
        )
    )

    known = ledger.run(access.recognize(key=access.digest_of("lowland_k")))

    assert known.key == made == ledger.run(access.list_keys())[0]
    assert (made.owner, made.scopes, made.name) == ("ada", {Scope.READ, Scope.ADMIN}, "desk")
    assert (made.rate_limit, made.quota, made.expires_at) == ("5/day", 3, None)
    assert made.created_at is not None


def test_a_session_is_as_good_as_its_key_for_twelve_hours(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    digest = access.digest_of("lowland_k")
    made = ledger.run(access.create_key("lowland_k", owner="ada", scopes=[Scope.READ]))
    ledger.run(access.open_session("s1", key=digest))
    with redis.Redis.from_url(redis_url) as client:
        left_ms = client.pttl(keys.key("session", "s1"))

    assert 43_190_000 < left_ms <= 43_200_000
    assert ledger.run(access.recognize(session="s1")).key == made
    ledger.run(access.close_session("s1"))
    assert ledger.run(access.recognize(session="s1")).outcome == "unknown"


def test_the_audit_is_bounded(ledger: Ledger, redis_url: str, keys: Keys) -> None:
    with redis.Redis.from_url(redis_url) as client:
        with client.pipeline() as pipe:
            for _ in range(12_000):
                pipe.xadd(keys.key("audit"), {"at_ms": 1, "owner": "ada", "action": "submit_job"})
            pipe.execute()
        ledger.run(access.audit(owner="ada", key_id="", action="cancel_job", status=200))

        kept = client.xlen(keys.key("audit"))

    assert 10_000 <= kept < 10_200
    assert ledger.run(access.read_audit(limit=1)).entries[0].action == "cancel_job"


def test_of_an_entry_nothing_but_itself_stays_for_longer_than_it_may_be_repeated(
    ledger: Ledger, redis_url: str, keys: Keys
) -> None:
    ledger.run(access.audit(owner="ada", key_id="", action="cancel_job", status=200))

    with redis.Redis.from_url(redis_url) as client:
        beside = [name for name in client.scan_iter(keys.prefix + "*") if name != keys.key("audit").encode()]
        assert len(beside) == 1
        assert 0 < client.pttl(beside[0]) <= 10_000
