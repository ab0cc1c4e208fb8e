"""A crowd of probes is one question, and later ones ask again."""

import asyncio

from api.health import SingleFlight


async def test_who_comes_meanwhile_gets_the_same_answer_and_who_comes_later_a_new_one():
    asked = []

    async def ask():
        asked.append(len(asked))
        await asyncio.sleep(0.01)
        return len(asked)

    question = SingleFlight(ask)
    assert await asyncio.gather(*(question() for _ in range(100))) == [1] * 100
    assert await question() == 2
    assert asked == [0, 1]


async def test_who_goes_away_takes_nobody_along():
    asked = 0

    async def ask():
        nonlocal asked
        asked += 1
        await asyncio.sleep(0.05)
        return "connected"

    question = SingleFlight(ask)
    impatient, *patient = [asyncio.ensure_future(question()) for _ in range(10)]
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await asyncio.gather(*patient) == ["connected"] * 9
    assert asked == 2


async def test_what_asking_fails_with_is_told_to_all():
    async def ask():
        await asyncio.sleep(0.01)
        raise ConnectionError("away")

    question = SingleFlight(ask)
    told = await asyncio.gather(*(question() for _ in range(3)), return_exceptions=True)
    assert [repr(error) for error in told] == ["ConnectionError('away')"] * 3
