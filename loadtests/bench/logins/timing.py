"""Does the time of a refused login depend on whether the account exists? Welch's t-test."""

import time
from dataclasses import dataclass
from random import Random
from statistics import NormalDist, fmean, stdev, variance

import httpx

LOGIN = "/api/v1/auth/login"
WRONG = "a wrong one"


@dataclass(frozen=True)
class Comparison:
    """Mean and deviation of both, in milliseconds; how likely chance alone explains them."""

    name: str
    logins: int
    known: tuple[float, float]
    unknown: tuple[float, float]
    t: float
    p: float


async def compare(client: httpx.AsyncClient, name: str, username: str, logins: int) -> Comparison:
    """Log in with a wrong password, half as an account that exists, half as ones that don't."""
    random = Random(1)
    order = [number % 2 == 0 for number in range(logins)]
    random.shuffle(order)
    times: dict[bool, list[float]] = {True: [], False: []}
    for known in [*order[:20], *order]:
        given = username if known else f"{random.getrandbits(64):0{len(username)}x}"
        started = time.perf_counter()
        answer = await client.post(LOGIN, json={"username": given, "password": WRONG})
        times[known].append((time.perf_counter() - started) * 1000)
        if answer.status_code != httpx.codes.UNAUTHORIZED:
            raise SystemExit(f"a wrong password was answered {answer.status_code}")
    # The first ones fill caches.
    return _welch(name, times[True][10:], times[False][10:])


def _welch(name: str, known: list[float], unknown: list[float]) -> Comparison:
    spread = variance(known) / len(known) + variance(unknown) / len(unknown)
    t = (fmean(known) - fmean(unknown)) / spread**0.5
    # With hundreds of each Student's distribution is the normal one.
    p = 2 * (1 - NormalDist().cdf(abs(t)))
    return Comparison(
        name,
        len(known) + len(unknown),
        (fmean(known), stdev(known)),
        (fmean(unknown), stdev(unknown)),
        t,
        p,
    )
