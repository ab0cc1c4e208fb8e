"""Many connections that arrive at once are accepted in bursts; accepted clients are not delayed."""

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest
import uvloop

from api.protocol.accept import MOST_AT_ONCE, AcceptBurst


class ConnectionProbe(asyncio.Protocol):
    """Records the loop iteration in which it was accepted, and whether it sends at once."""

    def __init__(self, *, loop, iterations, accepted):
        del loop
        self._iterations, self._accepted = iterations, accepted

    def connection_made(self, transport):
        connection = transport.get_extra_info("socket")
        is_prompt = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self._accepted.append((self._iterations.total(), is_prompt))


async def accept_many(size, listening):
    """Return the records of connections that all arrived before the first accept."""
    loop, iterations, accepted = asyncio.get_running_loop(), Counter(), []
    all_accepted = asyncio.Event()

    def iterate():
        iterations.update("turn")
        if len(accepted) == size:
            all_accepted.set()
        else:
            loop.call_soon(iterate)

    with ExitStack() as stack:
        for _ in range(size):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        again = stack.enter_context(listening.dup())
        factory = partial(
            AcceptBurst(ConnectionProbe, again), loop=loop, iterations=iterations, accepted=accepted
        )
        server = await loop.create_server(factory, sock=listening)
        iterate()
        async with asyncio.timeout(10):
            await all_accepted.wait()
        server.close()
        await server.wait_closed()
    return accepted


@pytest.fixture
def listening():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(MOST_AT_ONCE * 3)
        yield one


def test_waiting_connections_are_accepted_in_one_burst(listening):
    accepted = uvloop.run(accept_many(50, listening))
    assert len(accepted) == 50
    assert accepted[-1][0] - accepted[0][0] < 8  # one by one it takes 49 iterations or more
    assert all(is_prompt for _, is_prompt in accepted)


def test_many_waiting_connections_are_accepted_in_several_bursts(listening):
    accepted = uvloop.run(accept_many(MOST_AT_ONCE * 2, listening))
    iterations = Counter(iteration for iteration, _ in accepted)
    assert max(iterations.values()) <= MOST_AT_ONCE + 1
