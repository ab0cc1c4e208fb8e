from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "task_schedules" ADD "paused_at" TIMESTAMPTZ;
        ALTER TABLE "task_schedules" ADD "declared" VARCHAR(255);
        ALTER TABLE "task_schedules" ADD "timing" VARCHAR(255);"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "task_schedules" DROP COLUMN "paused_at";
        ALTER TABLE "task_schedules" DROP COLUMN "declared";
        ALTER TABLE "task_schedules" DROP COLUMN "timing";"""
