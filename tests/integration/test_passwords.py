"""Passwords: every refusal costs the same work, in few threads beside the event loop."""

import asyncio
import threading
import time

import pytest
from passlib.context import CryptContext
from uuid_utils.compat import uuid7

from infra.db.engine import database
from models import Role, User
from services.auth import accounts, passwords
from services.auth.passwords import ARGON2, Hashers, HashersBusy
from services.errors import InvalidCredentials

old = CryptContext(schemes=["bcrypt"], bcrypt__rounds=4, bcrypt__ident="2a")
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
async def _connected(new_database):
    async with database(await new_database(), pool_size=4):
        yield


@pytest.fixture
async def users(_connected, monkeypatch):
    """An active account with a current hash, one with an old hash, and a disabled one."""
    monkeypatch.setattr("services.auth.passwords._kinds._until", 0.0)
    hashes = {"old": old.hash(PASSWORD), "new": await passwords.hashed(PASSWORD)}
    hashes["disabled"] = hashes["old"]
    made = {}
    for name, password_hash in hashes.items():
        made[name] = f"{name}-{uuid7().hex}"
        await User.create(username=made[name], password_hash=password_hash, role=Role.STUDENT)
    await accounts.disable(made["disabled"])
    return made


class CountingContext:
    """The password context; counts the verified hashes by kind."""

    def __init__(self, context, done):
        self.context = context
        self.done = done

    def verify(self, password, stored):
        self.done.append(stored[:7])
        return self.context.verify(password, stored)

    def verify_and_update(self, password, stored):
        self.done.append(stored[:7])
        return self.context.verify_and_update(password, stored)

    def __getattr__(self, name):
        return getattr(self.context, name)


@pytest.fixture
def work(monkeypatch):
    """The verified hashes, by kind."""
    done = []
    name = "services.auth.passwords._context"
    monkeypatch.setattr(name, CountingContext(passwords.__dict__["_context"], done))
    return done


@pytest.mark.parametrize(
    "password", ["wrong", "x" * 73, "a\0b", "ü" * 1024], ids=["wrong", "long", "nul", "longer"]
)
async def test_every_refusal_costs_the_same_work(users, work, password):
    # The dummy hashes are computed once a process.
    with pytest.raises(InvalidCredentials):
        await accounts.authenticate("nobody", password)
    found = {}
    for name in ("nobody", users["old"], users["new"], users["disabled"]):
        work.clear()
        with pytest.raises(InvalidCredentials):
            await accounts.authenticate(name, password)
        found[name] = sorted(work)
    assert set(map(tuple, found.values())) == {("$2a$04$", ARGON2)}


async def test_without_old_hashes_a_refusal_costs_no_old_hash(users, work):
    await User.filter(password_hash__startswith="$2").delete()
    with pytest.raises(InvalidCredentials):
        await accounts.authenticate("nobody", "wrong")
    work.clear()
    for name in ("nobody", users["new"]):
        with pytest.raises(InvalidCredentials):
            await accounts.authenticate(name, "wrong")
    assert work == [ARGON2] * 2


async def test_the_right_password_of_a_disabled_account_costs_the_same_work(users, work):
    await accounts.authenticate(users["new"], PASSWORD)
    work.clear()
    with pytest.raises(InvalidCredentials):
        await accounts.authenticate(users["disabled"], PASSWORD)
    assert sorted(work) == ["$2a$04$", ARGON2]


async def test_a_password_changed_during_its_upgrade_is_kept(users, monkeypatch):
    name = users["old"]
    check = passwords.check

    async def change_first(password, stored):
        matches, better = await check(password, stored)
        monkeypatch.setattr(passwords, "check", check)
        await accounts.set_password(name, "another password")
        return matches, better

    monkeypatch.setattr(passwords, "check", change_first)
    with pytest.raises(InvalidCredentials):
        await accounts.authenticate(name, PASSWORD)
    assert (await accounts.authenticate(name, "another password")).username == name


async def test_an_unknown_kind_of_hash_never_matches(users):
    await User.filter(username=users["new"]).update(password_hash="!")
    for password in ("!", "", PASSWORD):
        with pytest.raises(InvalidCredentials):
            await accounts.authenticate(users["new"], password)


async def test_the_parameters_of_argon2_are_owasps(users):
    stored = (await User.get(username=users["new"])).password_hash
    assert stored.startswith(f"{ARGON2}id$v=19$m=19456,t=2,p=1$")


async def test_hashing_does_not_block_the_event_loop(users):
    laps = 0
    logins = asyncio.gather(
        *(accounts.authenticate(users["new"], "wrong") for _ in range(8)), return_exceptions=True
    )
    longest, last = 0.0, time.perf_counter()
    while not logins.done():
        await asyncio.sleep(0.001)
        now = time.perf_counter()
        longest, last, laps = max(longest, now - last), now, laps + 1
    # A hash in the loop would block it for 30 ms each: 8 iterations, not scores of them.
    assert laps > 20


async def test_concurrent_hashes_are_limited_and_a_full_queue_refuses(monkeypatch):
    hashers = Hashers(2, 3)
    inside, most = 0, 0
    gate = threading.Event()

    def work():
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        gate.wait(5)
        inside -= 1

    waiting = [asyncio.create_task(hashers.run(work)) for _ in range(8)]
    await asyncio.sleep(0.05)
    refused = [task for task in waiting if task.done()]
    assert len(refused) == 3
    for task in refused:
        with pytest.raises(HashersBusy, match=r"^Too many are logging in at once"):
            await task
    gate.set()
    await asyncio.gather(*(task for task in waiting if task not in refused))
    assert most == 2
    await hashers.run(work)
