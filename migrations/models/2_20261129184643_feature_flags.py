from tortoise import BaseDBAsyncClient

from migrations import sql

RUN_IN_TRANSACTION = True

# As aerich generates it from the models, but for the unique constraint, of which it makes an index.
TABLES = """
ALTER TABLE "image_variants" DROP CONSTRAINT "uid_image_varia_course__502ffd";
ALTER TABLE "image_variants"
    ADD CONSTRAINT "uid_image_varia_course__2b6512" UNIQUE ("course_id", "width", "format"),
    ADD CONSTRAINT ck_image_variants_format CHECK (format IN ('webp', 'avif'));
CREATE TABLE "feature_flags" (
    "name" VARCHAR(100) NOT NULL PRIMARY KEY,
    "definition" JSONB NOT NULL,
    "version" BIGINT NOT NULL DEFAULT 0,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON TABLE "feature_flags" IS 'The definition of a flag, in Unleash''s feature JSON; a trigger sets version and time.';
CREATE TABLE "feature_flag_uses" (
    "name" VARCHAR(100) NOT NULL PRIMARY KEY,
    "declared_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_evaluated_at" TIMESTAMPTZ
);
COMMENT ON TABLE "feature_flag_uses" IS 'When a flag was first declared by a running process, and when it was last evaluated.';
"""


async def upgrade(db: BaseDBAsyncClient) -> str:
    return TABLES + sql.read("flags")


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""
