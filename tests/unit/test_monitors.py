"""A crowd of probes is one question, and later ones ask again."""

import asyncio

from api.monitors import Question


async def test_who_comes_meanwhile_gets_the_same_answer_and_who_comes_later_a_new_one():
    asked = []

    async def ask():
        asked.append(len(asked))
        await asyncio.sleep(0.01)
        return len(asked)

    question = Question(ask)
    assert await asyncio.gather(*(question() for _ in range(100))) == [1] * 100
    assert await question() == 2
    assert asked == [0, 1]


async def test_who_goes_away_takes_nobody_along():
    async def ask():
        await asyncio.sleep(0.05)
        return "connected"

    question = Question(ask)
    impatient, patient = asyncio.ensure_future(question()), asyncio.ensure_future(question())
    await asyncio.sleep(0.01)
    impatient.cancel()
    assert await patient == "connected"
