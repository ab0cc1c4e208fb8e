"""Bare Sanic: constant bytes, and plain asyncpg."""

import os
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sanic import HTTPResponse, Request, Sanic
from sanic.response import raw
from sanic.worker.loader import AppLoader
from uuid_utils.compat import uuid7

JSON = "application/json"
POOL_SIZE = 10
LEVELS = ("Beginner", "Intermediate", "Advanced")

# The page first: otherwise PostgreSQL computes the other columns for all skipped rows, too.
PAGE = """
SELECT id, title, description, difficulty, created_at, updated_at,
       (SELECT json_agg(json_build_object('width', width, 'height', height, 'format', format,
                                          'bytes', bytes, 'key', key) ORDER BY width DESC)
        FROM image_variants WHERE course_id = chosen.id) AS variants,
       (SELECT sum(total) FROM course_totals) AS total
FROM (SELECT * FROM courses ORDER BY created_at DESC, id DESC LIMIT 20 OFFSET $1) AS chosen
ORDER BY created_at DESC, id DESC
"""
ENROLL = """
INSERT INTO enrollments (id, student_email, course_id) VALUES ($1, $2, $3)
ON CONFLICT (student_email, course_id) DO NOTHING
RETURNING id, student_email, course_id, enrolled_at
"""


def create_app() -> Sanic[Any, Any]:
    """Build the application."""
    app = Sanic("bare", dumps=orjson.dumps, configure_logging=False)
    bodies = {
        name: Path(os.environ["BENCH_BODIES"], name).read_bytes() for name in ("list", "detail")
    }

    @app.before_server_start
    async def connect(app: Sanic[Any, Any]) -> None:
        app.ctx.pool = await asyncpg.create_pool(
            os.environ["DATABASE_URL"], min_size=POOL_SIZE, max_size=POOL_SIZE
        )

    @app.get("/list")
    async def constant_list(_request: Request) -> HTTPResponse:
        return raw(bodies["list"], content_type=JSON)

    @app.get("/detail")
    async def constant_detail(_request: Request) -> HTTPResponse:
        return raw(bodies["detail"], content_type=JSON)

    @app.get("/rows")
    async def rows(request: Request) -> HTTPResponse:
        page = int(request.args.get("page", 1))
        found = await request.app.ctx.pool.fetch(PAGE, (page - 1) * 20)
        total = int(found[0]["total"]) if found else 0
        pages = -(-total // 20)
        document = {
            "data": [
                {
                    "id": row["id"],
                    "title": row["title"],
                    "description": row["description"],
                    "difficulty": row["difficulty"],
                    "created_at": row["created_at"],
                    "updated_at": row["updated_at"],
                }
                | ({"image": orjson.loads(row["variants"])} if row["variants"] else {})
                for row in found
            ],
            "pagination": {
                "current_page": page,
                "total_pages": pages,
                "total_count": total,
                "has_next": page < pages,
                "has_prev": page > 1,
                "limit": 20,
            },
        }
        return raw(orjson.dumps(document, default=str), content_type=JSON)

    @app.post("/enroll")
    async def enroll(request: Request) -> HTTPResponse:
        body = request.json
        row = await request.app.ctx.pool.fetchrow(
            ENROLL, uuid7(), body["student_email"], UUID(body["course_id"])
        )
        if row is None:
            return raw(b'{"error":"Conflict"}', 409, content_type=JSON)
        return raw(orjson.dumps(dict(row), default=str), 201, content_type=JSON)

    return app


if __name__ == "__main__":
    loader = AppLoader(factory=create_app)
    bare = loader.load()
    bare.prepare(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        workers=int(os.environ.get("PROCESSES", "1")),
        backlog=4096,
        access_log=False,
        motd=False,
    )
    Sanic.serve(primary=bare, app_loader=loader)
