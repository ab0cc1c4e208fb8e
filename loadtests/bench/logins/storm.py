"""Reads of courses during a storm of logins."""

import asyncio
import sys
import time
from collections import Counter
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from urllib.parse import urlsplit

import httpx

READS_A_SECOND = 300
CONNECTIONS = 64
LOGINS_AT_ONCE = 100
PATH = "/api/v1/courses?limit=20"


@dataclass(frozen=True)
class Reads:
    """The reads of one phase; milliseconds."""

    requests: int
    failures: int
    p50: float
    p95: float
    p99: float


async def reads(base_url: str, seconds: float) -> Reads:
    """Read courses at random moments, independent of earlier responses.

    A read's time begins at the moment it was due: waiting for a free connection counts.
    """
    parts = urlsplit(base_url)
    free: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        await free.put(await asyncio.open_connection(parts.hostname, parts.port))
    request = f"GET {PATH} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
    times: list[float] = []
    failures = 0

    async def read(due: float) -> None:
        nonlocal failures
        reader, writer = await free.get()
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        times.append((time.perf_counter() - due) * 1000)
        failures += not head.startswith(b"HTTP/1.1 200")
        await free.put((reader, writer))

    random = Random(2)
    due, end = time.perf_counter(), time.perf_counter() + seconds
    async with asyncio.TaskGroup() as group:
        while due < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(read(due))
            due += random.expovariate(READS_A_SECOND)
    for _ in range(CONNECTIONS):
        (await free.get())[1].close()
    cuts = quantiles(times, n=100)
    return Reads(len(times), failures, cuts[49], cuts[94], cuts[98])


async def under_storm(
    base_url: str, username: str, password: str, seconds: float
) -> tuple[Reads, Counter[str]]:
    """Read while another process logs in, so many at once, again and again.

    A third of the logins are right, a third have a wrong password, a third an unknown name.

    Returns:
        The reads, and how many logins were answered with each status.

    """
    storm = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", __name__, base_url, username, password, str(seconds + 2)),
        stdout=asyncio.subprocess.PIPE,
    )
    await asyncio.sleep(1)
    found = await reads(base_url, seconds)
    output, _ = await storm.communicate()
    statuses = Counter(output.decode().split())
    return found, statuses


async def _blow(base_url: str, username: str, password: str, seconds: float) -> None:
    until = time.monotonic() + seconds
    random = Random(3)

    def body() -> dict[str, str]:
        chance = f"{random.getrandbits(64):x}"
        named, said = random.choice([(username, password), (username, chance), (chance, password)])
        return {"username": named, "password": said}

    limits = httpx.Limits(max_connections=LOGINS_AT_ONCE)
    async with httpx.AsyncClient(base_url=base_url, timeout=60, limits=limits) as client:

        async def log_in() -> None:
            while time.monotonic() < until:
                answer = await client.post("/api/v1/auth/login", json=body())
                sys.stdout.write(f"{answer.status_code}\n")
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(float(answer.headers["retry-after"]))

        await asyncio.gather(*(log_in() for _ in range(LOGINS_AT_ONCE)))


if __name__ == "__main__":
    given_url, given_name, given_password, given_seconds = sys.argv[1:]
    asyncio.run(_blow(given_url, given_name, given_password, float(given_seconds)))
