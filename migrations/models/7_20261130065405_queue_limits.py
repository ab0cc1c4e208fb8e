from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "task_queues" ADD "concurrency" SMALLINT, ADD "rate" INT, ADD "rate_seconds" INT,
            ADD "burst" INT, ADD "tokens" DOUBLE PRECISION, ADD "refilled_at" TIMESTAMPTZ;"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "task_queues" DROP COLUMN "concurrency", DROP COLUMN "rate", DROP COLUMN "rate_seconds",
            DROP COLUMN "burst", DROP COLUMN "tokens", DROP COLUMN "refilled_at";"""
