from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "tasks" ADD "result" JSONB;
        ALTER TABLE "tasks" ADD "errors" JSONB;"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "tasks" DROP COLUMN "result";
        ALTER TABLE "tasks" DROP COLUMN "errors";"""
