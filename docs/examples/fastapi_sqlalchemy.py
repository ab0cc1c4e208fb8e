"""A shop with FastAPI and SQLAlchemy: the session's transaction has the order and its task."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import shop  # noqa: F401  `enqueue` then refuses arguments that its tasks do not take
from fastapi import FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from course_enrollment.queue import enqueue, in_transaction_of
from models import ORDERS

URL = os.environ["SHOP_DATABASE_URL"].replace("postgresql://", "postgresql+asyncpg://")
engine = create_async_engine(URL)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The shop's tables."""


class Order(Base):
    """An order."""

    __tablename__ = "orders"

    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    email: Mapped[str]


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Make the tables, and close the connections in the end."""
    async with engine.begin() as connection:
        await connection.execute(text(ORDERS))
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{email}", status_code=201)
async def order(email: str) -> UUID:
    """Take an order; one of a stranger is rolled back, and its task with it."""
    async with sessions.begin() as session:
        new = Order(email=email)
        session.add(new)
        await session.flush()
        async with in_transaction_of(session, schema="queue"):
            await enqueue("shop.confirm", {"order": new.id})
        if email.startswith("stranger"):
            raise HTTPException(409)
    return new.id
