from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "task_queues" (
    "name" VARCHAR(64) NOT NULL PRIMARY KEY,
    "paused_at" TIMESTAMPTZ,
    "resume_at" TIMESTAMPTZ
);
COMMENT ON TABLE "task_queues" IS 'What operators have set for a queue; one without a row is not paused.';"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE IF EXISTS "task_queues";"""
