"""FastAPI as its documentation has it: a cache in Redis, SQLAlchemy objects, Pydantic answers."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import Depends, FastAPI, Response
from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis
from sqlalchemy import ForeignKey, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship, selectinload

engine = create_async_engine(
    os.environ["DATABASE_URL"]
    .replace("postgresql://", "postgresql+asyncpg://")
    .replace("?sslmode=disable", ""),
    pool_size=10,
    max_overflow=0,
)
sessions = async_sessionmaker(engine, expire_on_commit=False)
redis = Redis.from_url(os.environ["CACHE_URL"])


class Base(DeclarativeBase):
    """All tables."""


class Course(Base):
    """A course."""

    __tablename__ = "courses"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    title: Mapped[str]
    description: Mapped[str]
    difficulty: Mapped[str]
    image_url: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    variants: Mapped[list["Variant"]] = relationship()


class Variant(Base):
    """One size of a course's image."""

    __tablename__ = "image_variants"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    course_id: Mapped[UUID] = mapped_column(ForeignKey("courses.id"))
    width: Mapped[int]
    key: Mapped[str]


class Total(Base):
    """How many courses there are."""

    __tablename__ = "course_totals"
    difficulty: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]


class CourseOut(BaseModel):
    """A course, answered."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    title: str
    description: str
    difficulty: str
    image_url: str | None
    created_at: datetime
    updated_at: datetime


class PageOut(BaseModel):
    """A page, answered."""

    data: list[CourseOut]
    total_count: int


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close what was opened."""
    yield
    await redis.aclose()
    await engine.dispose()


async def session() -> AsyncIterator[AsyncSession]:
    """Give a handler a session."""
    async with sessions() as opened:
        yield opened


app = FastAPI(lifespan=lifespan)


@app.get("/cached")
async def cached() -> Response:
    """Answer what Redis has."""
    return Response(await redis.get("bench:list"), media_type="application/json")


@app.get("/rows")
async def rows(database: Annotated[AsyncSession, Depends(session)], page: int = 1) -> PageOut:
    """Answer a page of courses."""
    found = await database.scalars(
        select(Course)
        .options(selectinload(Course.variants))
        .order_by(Course.created_at.desc(), Course.id.desc())
        .limit(20)
        .offset((page - 1) * 20)
    )
    totals = await database.scalars(select(Total))
    return PageOut(
        data=[CourseOut.model_validate(course) for course in found],
        total_count=sum(each.total for each in totals),
    )
