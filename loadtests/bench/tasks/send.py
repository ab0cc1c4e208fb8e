"""One async process that enqueues: as fast as it can, or at a pace.

python -m loadtests.bench.tasks.send SYSTEM noop COUNT CALLERS
python -m loadtests.bench.tasks.send SYSTEM stamp COUNT PER_SECOND
"""

import asyncio
import importlib
import json
import sys
import time
from collections.abc import Awaitable, Callable

Send = Callable[[str, int], Awaitable[object]]


async def burst(send: Send, count: int, callers: int) -> float:
    """Enqueue as fast as so many callers can; return how many a second."""
    numbers = iter(range(count))
    # The first ones connect and prepare their statements.
    await asyncio.gather(*(send("noop", next(numbers)) for _ in range(callers)))

    async def call() -> None:
        for number in numbers:
            await send("noop", number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as running:
        for _ in range(callers):
            running.create_task(call())
    return (count - callers) / (time.perf_counter() - began)


async def pace(send: Send, count: int, per_second: int) -> list[tuple[float, float]]:
    """Enqueue one after the other; return when each was asked for and when it was committed."""
    times = []
    began = time.time()
    for number in range(count):
        await asyncio.sleep(began + number / per_second - time.time())
        asked = time.time()
        await send("stamp", number)
        times.append((asked, time.time()))
    return times


async def main(system: str, kind: str, count: int, number: int) -> None:
    """Send, and print what was measured."""
    module = importlib.import_module(f"loadtests.bench.tasks.with_{system}")
    async with module.sender(number if kind == "noop" else 1) as send:
        measured = await (burst if kind == "noop" else pace)(send, count, number)
    sys.stdout.write(json.dumps(measured))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
