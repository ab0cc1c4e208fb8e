from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "task_dedupe_keys" (
    "key" VARCHAR(255) NOT NULL PRIMARY KEY,
    "task_id" UUID NOT NULL,
    "held_until" TIMESTAMPTZ NOT NULL
);
CREATE INDEX IF NOT EXISTS "ix_task_dedupe_keys_held_until" ON "task_dedupe_keys" (held_until);
COMMENT ON TABLE "task_dedupe_keys" IS 'A dedupe key that is held for a period, also after the end of the task that has it.';
        CREATE TABLE IF NOT EXISTS "task_retentions" (
    "name" VARCHAR(128) NOT NULL PRIMARY KEY,
    "pruned_until" TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE "task_retentions" IS 'A kind of task whose ended tasks have a retention of their own.';"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE IF EXISTS "task_dedupe_keys";
        DROP TABLE IF EXISTS "task_retentions";"""
