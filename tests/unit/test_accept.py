"""A crowd that comes at once is let in at once, and nobody who is in waits for all of it."""

import asyncio
import socket
from collections import Counter
from contextlib import ExitStack
from functools import partial

import pytest
import uvloop

from api.protocol.accept import MOST_AT_ONCE, AcceptBurst


class Guest(asyncio.Protocol):
    """Notes in which turn of the loop it was let in, and whether its bytes go out at once."""

    def __init__(self, *, loop, turns, let_in):
        del loop
        self._turns, self._let_in = turns, let_in

    def connection_made(self, transport):
        connection = transport.get_extra_info("socket")
        is_prompt = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        self._let_in.append((self._turns.total(), is_prompt))


async def crowded(size, listening):
    """Return what guests noted who had all come before the first was let in."""
    loop, turns, let_in = asyncio.get_running_loop(), Counter(), []
    everybody = asyncio.Event()

    def turn():
        turns.update("turn")
        if len(let_in) == size:
            everybody.set()
        else:
            loop.call_soon(turn)

    with ExitStack() as stack:
        for _ in range(size):
            stack.enter_context(socket.create_connection(listening.getsockname()))
        again = stack.enter_context(listening.dup())
        door = partial(AcceptBurst(Guest, again), loop=loop, turns=turns, let_in=let_in)
        server = await loop.create_server(door, sock=listening)
        turn()
        async with asyncio.timeout(10):
            await everybody.wait()
        server.close()
        await server.wait_closed()
    return let_in


@pytest.fixture
def listening():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        one.listen(MOST_AT_ONCE * 3)
        yield one


def test_a_crowd_is_let_in_at_once(listening):
    let_in = uvloop.run(crowded(50, listening))
    assert len(let_in) == 50
    assert let_in[-1][0] - let_in[0][0] < 8  # one by one it is 49 turns, or more
    assert all(is_prompt for _, is_prompt in let_in)


def test_a_large_crowd_is_let_in_by_parts(listening):
    let_in = uvloop.run(crowded(MOST_AT_ONCE * 2, listening))
    turns = Counter(turn for turn, _ in let_in)
    assert max(turns.values()) <= MOST_AT_ONCE + 1
