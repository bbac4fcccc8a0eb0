"""Keys: nothing readable at rest, valid until revoked, within their scopes, rates and budgets."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from nlrl.core import Phase, Spend, UnknownName, UserError
from nlrl.server.http.access import Access
from nlrl.server.http.errors import ApiError
from nlrl.server.http.keys import KeyStore


def bearer(secret: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {secret}".encode()}


def spend(access: Access, secret: str, tokens: int) -> None:
    ledger = access.check(bearer(secret), "chat").ledger
    ledger.settle(ledger.reserve(Spend()), Phase.SAMPLE, Spend(calls=1, completion_tokens=tokens))


def test_a_key_is_shown_once_and_kept_nowhere(tmp_path: Path) -> None:
    path = tmp_path / "keys.sqlite"
    with KeyStore(path) as store:
        key, secret = store.create("alice", scopes=("chat", "read"), tokens=100, per_minute=7)
        assert store.find(secret) == key
        assert (key.scopes, key.tokens, key.per_minute, key.used) == (("chat", "read"), 100, 7, 0)
        kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
        assert key.id.encode() in kept
        assert secret.encode() not in kept and secret.split("_", 2)[2].encode() not in kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert secret not in repr(key)


def test_only_the_whole_key_opens(tmp_path: Path) -> None:
    with KeyStore(tmp_path / "keys.sqlite") as store:
        _, secret = store.create("alice")
        other = store.create("bob")[1]
        mixed = "_".join([*secret.split("_", 2)[:2], other.split("_", 2)[2]])
        for wrong in ("", "nlrl", "nlrl_", "nlrl__", secret[:-1], secret + "x", secret.upper(), mixed, "nlrl_\udcff_x"):
            assert store.find(wrong) is None


def test_revoked_is_revoked_for_every_reader_at_once(tmp_path: Path) -> None:
    with KeyStore(tmp_path / "k") as store, KeyStore(tmp_path / "k", create=False) as elsewhere:
        key, secret = store.create("alice")
        assert elsewhere.find(secret)
        store.revoke("alice")
        assert elsewhere.find(secret) is None
        assert elsewhere.revoked([key.id]) == {key.id}
        first = store.list()[0].revoked
        assert store.revoke(key.id).revoked == first  # a second time changes nothing


def test_mistakes_are_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nlrl keys create"):
        KeyStore(tmp_path / "none", create=False)
    (tmp_path / "text").write_text("this is no database, and long enough to be looked at " * 20)
    with pytest.raises(UserError, match="cannot be used"):
        KeyStore(tmp_path / "text")
    with KeyStore(tmp_path / "k") as store:
        store.create("alice")
        with pytest.raises(UserError, match="already"):
            store.create("alice")
        with pytest.raises(UnknownName, match="alice"):
            store.revoke("alise")
        with pytest.raises(UnknownName, match="scope"):
            store.create("bob", scopes=("chat", "root"))
        with pytest.raises(UserError, match="name"):
            store.create(" ")


def test_scopes(tmp_path: Path) -> None:
    with KeyStore(tmp_path / "k") as store:
        access = Access(store)
        secrets = {scope: store.create(scope, scopes=(scope,))[1] for scope in ("chat", "read", "admin")}
        allowed = {scope: {s for s in ("chat", "read", "admin") if may(access, secrets[scope], s)} for scope in secrets}
    assert allowed == {"chat": {"chat", "read"}, "read": {"read"}, "admin": {"chat", "read", "admin"}}


def may(access: Access, secret: str, scope: str) -> bool:
    try:
        access.check(bearer(secret), scope)
    except ApiError as error:
        assert error.status == 403
        return False
    return True


def test_who_has_no_key_is_told_how(tmp_path: Path) -> None:
    with KeyStore(tmp_path / "k") as store:
        for headers in ({}, {b"authorization": b"Basic abc"}, bearer("nlrl_00000000_x"), bearer("é")):
            with pytest.raises(ApiError) as caught:
                Access(store).check(headers, "read")
            assert caught.value.status == 401 and (b"www-authenticate", b"Bearer") in caught.value.headers
    assert Access(None).check({}, "admin").ledger.remaining.tokens is None


def test_rates_are_kept_and_the_pause_is_named(tmp_path: Path) -> None:
    with KeyStore(tmp_path / "k") as store:
        access = Access(store)
        secret = store.create("alice", per_minute=3)[1]
        for _ in range(3):
            access.check(bearer(secret), "chat")
        with pytest.raises(ApiError) as caught:
            access.check(bearer(secret), "chat")
        assert caught.value.status == 429
        assert 1 <= int(dict(caught.value.headers)[b"retry-after"]) <= 20
        access.check(bearer(secret), "read")  # looking costs nothing


def test_a_budget_holds_over_processes_and_restarts(tmp_path: Path) -> None:
    async def run() -> None:
        with KeyStore(tmp_path / "k") as store:
            secret = store.create("alice", tokens=100)[1]
            one, two = Access(store), Access(store)
            spend(one, secret, 60)
            await written(one)
            assert two.check(bearer(secret), "chat").ledger.remaining.tokens == 40
            spend(two, secret, 30)
            await written(two)
            assert one.check(bearer(secret), "chat").ledger.remaining.tokens == 10
            spend(one, secret, 25)  # a broken try may cost more than was set aside: it is charged all the same
            await written(one)
            assert store.list()[0].used == 115
            for access in (one, two, Access(store)):
                with pytest.raises(ApiError) as caught:
                    access.check(bearer(secret), "chat")
                assert (caught.value.status, caught.value.code) == (429, "insufficient_quota")

    asyncio.run(run())


async def written(access: Access) -> None:
    task = asyncio.create_task(access.run())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_what_runs_for_a_revoked_key_is_stopped(tmp_path: Path) -> None:
    async def run() -> None:
        with KeyStore(tmp_path / "k") as store:
            access = Access(store)
            looking = asyncio.create_task(access.run())
            caller = access.check(bearer(store.create("alice")[1]), "chat")
            other = access.check(bearer(store.create("bob")[1]), "chat")

            async def work(who: object) -> str:
                async with access.at_work(who):  # type: ignore[arg-type]
                    await asyncio.sleep(1.5)
                return "done"

            tasks = [asyncio.create_task(work(who)) for who in (caller, other)]
            await asyncio.sleep(0.1)
            store.revoke("alice")
            async with asyncio.timeout(1):
                with pytest.raises(ApiError, match="revoked"):
                    await tasks[0]
            assert await tasks[1] == "done"
            looking.cancel()
            await asyncio.gather(looking, return_exceptions=True)

    asyncio.run(run())
