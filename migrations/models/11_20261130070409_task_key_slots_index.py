from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = False
EXEMPT = {"tighter": "the release before gives no task a slot, and the index has no row without one"}


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "uq_tasks_key_slot"
            ON "tasks" (concurrency_key, key_slot) WHERE state = 'running' AND key_slot IS NOT NULL;"""


upgrade_queue = upgrade


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP INDEX CONCURRENTLY IF EXISTS "uq_tasks_key_slot";"""
