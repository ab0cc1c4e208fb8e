from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE TABLE IF NOT EXISTS "task_edges" (
    "id" BIGSERIAL NOT NULL PRIMARY KEY,
    "parent_id" UUID NOT NULL,
    "child_id" UUID NOT NULL,
    "name" VARCHAR(128) NOT NULL,
    "runs_on_failure" BOOL NOT NULL,
    "is_met" BOOL NOT NULL DEFAULT False
);
CREATE INDEX IF NOT EXISTS "ix_task_edges_parent" ON "task_edges" (parent_id);
CREATE UNIQUE INDEX IF NOT EXISTS "uq_task_edges_child" ON "task_edges" (child_id, name);
COMMENT ON TABLE "task_edges" IS 'A task, the child, waits for another one, the parent.';
        ALTER TABLE "tasks" ADD "waits_for" INT NOT NULL DEFAULT 0;
        ALTER TABLE "tasks" ADD "is_awaited" BOOL NOT NULL DEFAULT False;
        ALTER TABLE "tasks" ADD "workflow_id" UUID;"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        ALTER TABLE "tasks" DROP COLUMN "waits_for";
        ALTER TABLE "tasks" DROP COLUMN "is_awaited";
        ALTER TABLE "tasks" DROP COLUMN "workflow_id";
        DROP TABLE IF EXISTS "task_edges";"""
