from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "tasks" ADD "concurrency_key" VARCHAR(255), ADD "key_slot" SMALLINT,
            ADD "due_at" TIMESTAMPTZ;"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "tasks" DROP COLUMN "concurrency_key", DROP COLUMN "key_slot",
            DROP COLUMN "due_at";"""
