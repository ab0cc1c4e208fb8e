"""A shop with FastAPI and asyncpg: an order and its task commit together, or not at all."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import asyncpg
import shop  # noqa: F401  `enqueue` then refuses arguments that its tasks do not take
from fastapi import FastAPI, HTTPException, Request

from course_enrollment.queue import database, enqueue, in_transaction_of, result
from models import ORDERS


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Open the shop's pool, and one connection of the queue's own, which waits for results."""
    pool = asyncpg.create_pool(os.environ["SHOP_DATABASE_URL"])
    async with pool, database(os.environ["DATABASE_URL"], pool_size=1):
        await pool.execute(ORDERS)
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{email}", status_code=201)
async def order(email: str, request: Request) -> dict[str, UUID]:
    """Take an order; one of a stranger is rolled back, and its task with it."""
    new = uuid4()
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute("INSERT INTO orders (id, email) VALUES ($1, $2)", new, email)
        async with in_transaction_of(connection, schema="queue"):
            task_id = await enqueue("shop.confirm", {"order": new})
        if email.startswith("stranger"):
            raise HTTPException(409)
    return {"order": new, "task": task_id}


@app.get("/letters/{task_id}")
async def letter(task_id: UUID) -> str:
    """Wait for the letter that a task writes, on any worker."""
    async with asyncio.timeout(10):
        return await result(task_id, str)
