from tortoise import BaseDBAsyncClient

from migrations import sql

RUN_IN_TRANSACTION = True

# As aerich generates it from the models.
TABLES = """
CREATE TABLE "audit_log" (
    "id" UUID NOT NULL PRIMARY KEY,
    "at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "action" VARCHAR(64) NOT NULL,
    "outcome" VARCHAR(16) NOT NULL,
    "actor" VARCHAR(255),
    "actor_id" UUID,
    "target" VARCHAR(512),
    "address" VARCHAR(64),
    "request_id" VARCHAR(128),
    "count" INT NOT NULL DEFAULT 1,
    "details" JSONB
);
CREATE INDEX "ix_audit_log_newest" ON "audit_log" (at DESC, id DESC);
CREATE INDEX "ix_audit_log_actor" ON "audit_log" (actor, at DESC, id DESC);
CREATE INDEX "ix_audit_log_action" ON "audit_log" (action, at DESC, id DESC);
COMMENT ON COLUMN "audit_log"."outcome" IS 'DONE: done\nREFUSED: refused';
COMMENT ON TABLE "audit_log" IS 'One act, or `count` refusals of one kind that came close together.';
CREATE TABLE "course_totals" (
    "difficulty" VARCHAR(16) NOT NULL PRIMARY KEY,
    "total" INT NOT NULL
);
COMMENT ON COLUMN "course_totals"."difficulty" IS 'BEGINNER: Beginner\nINTERMEDIATE: Intermediate\nADVANCED: Advanced';
COMMENT ON TABLE "course_totals" IS 'How many courses of a difficulty there are.';
CREATE TABLE "enrollment_totals" (
    "slot" INT NOT NULL PRIMARY KEY,
    "enrollments" BIGINT NOT NULL,
    "students" BIGINT NOT NULL
);
COMMENT ON TABLE "enrollment_totals" IS 'What one slot has seen come and go; the totals are the sums of all slots.';
CREATE TABLE "idempotent_responses" (
    "digest" VARCHAR(64) NOT NULL PRIMARY KEY,
    "fingerprint" VARCHAR(64) NOT NULL,
    "status" SMALLINT,
    "headers" JSONB,
    "body" BYTEA,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "ix_idempotent_responses_created" ON "idempotent_responses" (created_at);
COMMENT ON TABLE "idempotent_responses" IS 'An answer, to be given again; inserted in the transaction of what it tells.';
CREATE TABLE "students" (
    "email" VARCHAR(320) NOT NULL PRIMARY KEY,
    "enrollment_count" INT NOT NULL
);
COMMENT ON TABLE "students" IS 'Whoever is in at least one course.';
CREATE TABLE "tasks" (
    "id" UUID NOT NULL PRIMARY KEY,
    "name" VARCHAR(128) NOT NULL,
    "args" JSONB NOT NULL,
    "queue" VARCHAR(64),
    "priority" SMALLINT NOT NULL DEFAULT 0,
    "dedupe_key" VARCHAR(255),
    "state" VARCHAR(16) NOT NULL DEFAULT 'queued',
    "cancel_requested" BOOL NOT NULL DEFAULT False,
    "progress" SMALLINT NOT NULL DEFAULT 0,
    "attempts" INT NOT NULL DEFAULT 0,
    "max_attempts" INT,
    "available_at" TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    "published_at" TIMESTAMPTZ,
    "lease_until" TIMESTAMPTZ,
    "worker" VARCHAR(255),
    "error" TEXT,
    "traceback" TEXT,
    "request_id" VARCHAR(128),
    "trace_context" VARCHAR(512),
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ,
    "finished_at" TIMESTAMPTZ
);
CREATE INDEX "ix_tasks_due" ON "tasks" (name, priority DESC, available_at) WHERE state = 'queued';
CREATE INDEX "ix_tasks_lease" ON "tasks" (lease_until) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX "uq_tasks_dedupe_key" ON "tasks" (dedupe_key) WHERE state IN ('queued', 'running');
CREATE INDEX "ix_tasks_finished" ON "tasks" (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX "ix_tasks_images_removed" ON "tasks" (created_at DESC) WHERE name = 'images.remove';
CREATE INDEX "ix_tasks_newest" ON "tasks" (created_at DESC, id DESC);
CREATE INDEX "ix_tasks_state_newest" ON "tasks" (state, created_at DESC, id DESC);
COMMENT ON COLUMN "tasks"."state" IS 'QUEUED: queued\nRUNNING: running\nSUCCEEDED: succeeded\nFAILED: failed\nCANCELLED: cancelled';
COMMENT ON TABLE "tasks" IS 'A piece of slow work, inserted in the transaction of what asked for it.';
CREATE TABLE "courses" (
    "id" UUID NOT NULL PRIMARY KEY,
    "title" VARCHAR(255) NOT NULL,
    "description" TEXT NOT NULL,
    "difficulty" VARCHAR(16) NOT NULL,
    "image_url" VARCHAR(2048),
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "image_task_id" UUID REFERENCES "tasks" ("id") ON DELETE SET NULL
);
CREATE INDEX "ix_courses_newest" ON "courses" (created_at DESC, id DESC);
CREATE INDEX "ix_courses_newest_levels" ON "courses" (created_at DESC, id DESC) INCLUDE (difficulty);
CREATE INDEX "ix_courses_difficulty_newest" ON "courses" (difficulty, created_at DESC, id DESC);
CREATE INDEX "ix_courses_title" ON "courses" (title, id) INCLUDE (difficulty);
CREATE INDEX "ix_courses_image_task" ON "courses" (image_task_id) WHERE image_task_id IS NOT NULL;
COMMENT ON COLUMN "courses"."difficulty" IS 'BEGINNER: Beginner\nINTERMEDIATE: Intermediate\nADVANCED: Advanced';
COMMENT ON TABLE "courses" IS 'A course.';
CREATE TABLE "enrollments" (
    "id" UUID NOT NULL PRIMARY KEY,
    "student_email" VARCHAR(320) NOT NULL,
    "enrolled_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "course_id" UUID NOT NULL REFERENCES "courses" ("id") ON DELETE CASCADE
);
CREATE UNIQUE INDEX "uq_enrollments_student_email_course_id" ON "enrollments" (student_email, course_id);
CREATE INDEX "ix_enrollments_course_newest" ON "enrollments" (course_id, enrolled_at DESC, id DESC);
CREATE INDEX "ix_enrollments_newest" ON "enrollments" (enrolled_at DESC, id DESC);
COMMENT ON TABLE "enrollments" IS 'A student''s place in a course; its constraints, not the code, refuse a bad one.';
CREATE TABLE "image_variants" (
    "id" UUID NOT NULL PRIMARY KEY,
    "width" INT NOT NULL,
    "height" INT NOT NULL,
    "format" VARCHAR(16) NOT NULL,
    "bytes" INT NOT NULL,
    "key" VARCHAR(255) NOT NULL,
    "course_id" UUID NOT NULL REFERENCES "courses" ("id") ON DELETE CASCADE,
    CONSTRAINT "uid_image_varia_course__502ffd" UNIQUE ("course_id", "width")
);
COMMENT ON TABLE "image_variants" IS 'One size of a course''s image: an object of the bucket under `key`.';
CREATE TABLE "task_schedules" (
    "name" VARCHAR(128) NOT NULL PRIMARY KEY,
    "last_slot" TIMESTAMPTZ NOT NULL
);
COMMENT ON TABLE "task_schedules" IS 'A kind of task that is enqueued once a slot, and the start of the last slot that was served.';
CREATE TABLE "uploads" (
    "id" UUID NOT NULL PRIMARY KEY,
    "data" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "course_id" UUID NOT NULL REFERENCES "courses" ("id") ON DELETE CASCADE
);
COMMENT ON TABLE "uploads" IS 'Staged bytes: durable when the upload is answered, deleted when the variants stand.';
CREATE TABLE "users" (
    "id" UUID NOT NULL PRIMARY KEY,
    "username" VARCHAR(255) NOT NULL UNIQUE,
    "password_hash" VARCHAR(255) NOT NULL,
    "role" VARCHAR(16) NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ
);
CREATE INDEX "ix_users_old_hashes" ON "users" ("left"((password_hash)::text, 7)) WHERE ((password_hash)::text ~~ '$2%'::text);
COMMENT ON COLUMN "users"."role" IS 'ADMIN: admin\nSTUDENT: student';
COMMENT ON TABLE "users" IS 'An account; the hash is passlib''s, so old `$2a$` ones verify.';
CREATE TABLE "sessions" (
    "id" UUID NOT NULL PRIMARY KEY,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "tokens_until" TIMESTAMPTZ NOT NULL,
    "revoked_at" TIMESTAMPTZ,
    "user_id" UUID NOT NULL REFERENCES "users" ("id") ON DELETE CASCADE
);
CREATE INDEX "ix_sessions_revoked" ON "sessions" (revoked_at) WHERE revoked_at IS NOT NULL;
CREATE INDEX "ix_sessions_open" ON "sessions" (user_id) WHERE revoked_at IS NULL;
CREATE INDEX "ix_sessions_expires" ON "sessions" (expires_at);
COMMENT ON TABLE "sessions" IS 'What a login opened; its id is in every token that comes of it.';
CREATE TABLE "refresh_tokens" (
    "digest" VARCHAR(64) NOT NULL PRIMARY KEY,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "used_at" TIMESTAMPTZ,
    "successor_nonce" VARCHAR(64),
    "session_id" UUID NOT NULL REFERENCES "sessions" ("id") ON DELETE CASCADE
);
CREATE INDEX "ix_refresh_tokens_session" ON "refresh_tokens" (session_id);
CREATE INDEX "ix_refresh_tokens_expires" ON "refresh_tokens" (expires_at);
COMMENT ON TABLE "refresh_tokens" IS 'A refresh token, known by its SHA-256 only: 64 hexadecimal digits.';
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" SERIAL NOT NULL PRIMARY KEY,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSONB NOT NULL
);
"""


async def upgrade(db: BaseDBAsyncClient) -> str:
    return "\n".join(
        (
            "CREATE EXTENSION IF NOT EXISTS pg_trgm;",
            TABLES,
            sql.read("constraints", "totals", "sessions", "audit", "tasks", "cache"),
            sql.read_search_text(),
        )
    )


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""


MODELS_STATE = (
    "eJztXXtz4jgS/yoqaq+SqeJSM8zzMntbRRJmh9sMcxfIPrNlhC3AFyMxfoTh9uY++3VLfm"
    "ODDSTjsP4nFSx1S/61LHW3Wq0/GjNhMMs5aXuG6Xa4ay8bp+SPBqczBv9klDZJg87nURk+"
    "cOnIktUp1tMsMZHVRo5rU92FgjG1HAaPDObotjl3TcGx+kfOCFRoEmGToS487g6JzcaeA9"
    "WJGBMB5bcmN4g7pS7RoU9Et4TDiCsmzJ0y+wTbMYQODZl8sh+WN/yGD4GFsIfEdAglnsNs"
    "xKMJ/+sWNWfMkGwWUBsaI/C6JicL6qiGmKEaF3NmU+By+q2s8N2QjOExNHHDdTGbUeiDZX"
    "L2lnBgdgp/R8JYSjZQfwJtmPyEtAm8Gfyyfd4O9JPoU8onDBux2UzcYR9ssZBYeNz85DEt"
    "eBlA5Lff4TG8MPvMHPz5R2NsMsuQ/zeoi0Sm0cBK7PPcZo4DsnECumAYmJ+1ULQaZwvmSE"
    "J3OZfFDUkNwsYfx4DrRad/3iSmIf950vjSJMlmEV05RLZpP6TOaR6LQVZFeoHjcIdu+OS5"
    "/YDyzI4gz/mtJvuS+NygC1Akn2sB1+vr7sU7WRPH+kjTheXNeFR7vnSngofVPc80TpAGyy"
    "aM4yBkRuwb5J5l+d9r8EiNGnjg2h4Lh4sRPTDYmHoWfsmNb8cel29GsCXNc02YH2BAz6l7"
    "gk9ef+f3M0ajab2PA63fGWhaY2UWwP6kvmL/kQ4iADRN7qIk/vii+EboyKcNbOD8ffvq+P"
    "mrJxIP4bgTWxZK7BpfJCF1qRYJP4JcyT4J+QVA5sJ3ng27okjBbvgkJ8E/28AfPIjwjybO"
    "AMwArgTAPbE4fnI/0A66Hzr9QfvDP5H9zHE+WRKh9qCDJS35dJl6eqwkIWD2V+tCyIT81B"
    "28J/iT/Pqx10nLK6w3+BU/V1hPXKFxsdCoEUcjeBw8kl92KNDwu0wK9XxK7RyBhhQpoQJE"
    "DyrG/XwnjRn9rFmMT9wp/Hz1Yo1wf2xfyU/n1YuUwHp+SUsWfUkALDwXvneWjXCHezOJch"
    "f6RLnOVtCOkVcZ7sYFjM9TYsDifMOvOu+u+52L02CFT6sdRQTx7FUBQTxLfzmRILDoS3qk"
    "q4WwxEBXBFsB768F1RzmrZcvC8ALtXLxlWUZAGvlFuU4zQ5Lc8XA3mXtjfB0qQ16aZkRG1"
    "Ec3pB9+axVYMhCrdwhK8tSQ9YwUHstNStEJIcH8v6XP5vBazpu5rSQD3KS6vBwftZ6U2R5"
    "a73JX9+wLAm1tN9XUe5yNxvksH4KX1M9fSjF4tkOoE6w4b+2nr14/eLN81cv3kAV2bnwye"
    "s1MHd7gxSCBnOpaWVMB//of+xlgxgjSds4pu6S/xLLdIrAWbHhugY2xCJh3QSD8vhD++f0"
    "eD2//HiWXuqQwRkgj3b9+DZmZuKDEdVvF9Q2tJUS0RJ5dVeLZq1Z+gnldCKBxDfG9/O9de"
    "fCsx3WyPDj+SXNdT48XdZxinnw2kRVX3XEhSXSn2bOoKuaZ1u+T20sbGZOOPHXniZxQGti"
    "BqEOmZh3jL8llBNvbglqoCcMqZHQ5GR4R22TglCHTahjhLxd6txK5u6UEfyhPHwzesuAzm"
    "0SmBpMC/7DOjajxnIbh5kOlDDitRIeIx/PjW6ziPUmx9XOnYBp+y4Qe7m+kC58ANcXHXJs"
    "mOOxqcMnulztYFSGbHfobsRoI3xR1SYpDqVruhYr3a2QKrsrshgbLQhXNIC1Ut2I6PL7ku"
    "D9hPz0vnPVIYmHpNsnMMGS3vXlZe2arJJrMhxmha2lgKDKjpUqGfjxnq3gPICvKE9FSpAd"
    "BNrrXMCdnwfr9aPQA3z5sfd9UD2tNKWgT6wR2zgSkxyqLITGWef7bq/XuTolZ2xicujTDQ"
    "dlvXP1oXPRbQ86pwRsGmbPmGFCZ294++LHdu8cHY5t4w5fviIex1CNKzMrJYgOz/JtPX1R"
    "xPTFavlTkyxMGb8JtanMBlWSst6oquhGlTc3thRwkrIWcEUFnNTry2jPacJ6IyHDuZIF9C"
    "rK75Sn4Qe2XNEmUqj6PpKBz+ZR4ho9jbpo00Voz60OLQAAXpu5EgLoRcwOzPZcRbAzbgvL"
    "mjHswgruZz7xux+umEVzVGUf8k7IqDo6287IJ6aCwGm1G05dFN6PitWhIqWcfjsCdS2ZHB"
    "JE9+8vHgiXWo1cp7Eqbm72HGsu1izoP34vFgT6tfSdxTJEk5LIskNvLgZZ2hke5pK0mz29"
    "ub6vatqqmz1ifzpLdY0vLRi+BbcSw/pfdytxXxbrHrYVK7K5FdMVMuaqpCaRP1WlVJciG1"
    "2O6xlQ/8ghc4vqDPeiqD/1vCWm65AY5k3ChSt3onRou+mHjUH9EZWx41nbZXvnX3Jry29f"
    "YzNqypHvT+ebtyS8T1oMTy3BSIu4NPP2KBIETRJSZOx8xZmpNsttLMX76TPbuC8XtNkksR"
    "Y3bSzt2rlNvVrXlXoPpzp7OCtfVVGv6QphlR3cW7pOn7eeFlj3oVbuwi/Lkn7T1JdXxq+W"
    "Iq0daxV1rNWu8QMXcO0aP3ABJxS5ogpJgmifekk1nD779YnrYajfjv7wKGbwccK60SWeGF"
    "YJd/h5u3/evuis84Y/jKmb65tLV2kWM3pL+eh+wjhKPPDsWGB0TqlDHMY4wUNcGIFJJuKt"
    "CrqUPNHfJn863ky55CxLUjqrRu9eOe/g30MmJXxDQfX9uIbuw433wPHm+ebP+i0ic5KLcY"
    "rwkLxwf2u1nj9/3Xr6/NWbly9ev3755mmI+mrROvjPut+jBBKL+OoRAN+QLIl/nKoGvxT4"
    "FXGUJjYLM5aO9GZi/rqh9ozjW5jFUns45n+Y2pRRS+yRoyKPTzG4X4z+zXQXi3FKH3n6LX"
    "OJB2PDJsNbthxmp/bYnWXGMvFbTFlamIY7bfxedOWoPWoP7lFTEiq+Wof1D2ka29sBsSkY"
    "A9Myyk9EUOOZgedY2LMsr0W+ozeiOEAP7/5DkEdLl2XoMrnjNaxfD9eM4QrLYpmx6lc/wI"
    "F6L8dLai9X7eWqvVwb7JQf2Nxtc2chdfEVKyVW2lxroxhsNhcu+rZg8MwBjcJHmDnYDthA"
    "E3PrjZg6gEzoBMB8S0xgZLsyG59yRdlQWSWMQkNjgR4s0yUus6wMB9ceectj1IY5YY4bHn"
    "Puv2//tfXylcxrKLMNyoRzOrUsMHnQgQbzdZMMx9AbZs+hU0AqT0X7JpKflOLIwZSEHMHD"
    "hBlkyj5Tg+lgWFkEWsTYE0b16QkJX0dxgV74YSg2I0sWPsD0hqaLLwYPdzxlvTlqIkvyms"
    "9BDpENJ5zXBUwovMuskBFFdYP8tlwi95VKJd+0iw3UUhp0kuwAtZP9Z7GB9dD1MvToPnz0"
    "1hqvYEC1lTZdsTMTvjL9vPX6VahH4491KnT/Q/vyMsuMhhnTLpVnJUZS51kpl2clYQ8KI8"
    "OEOTM5tZc5FqFPkUI9NBQPBu8zH8IQb4D7rNtrX/2SfXD7LAPys18GnXZ9MvXwozMqsmtx"
    "xcbwItOBuGW8kWEPJMrXWgS2qglKJ1QtHOXtUxFJ1SS3ABEno6UMwA7VbW4tcxTlrMDuXV"
    "mi5j+Qu+BArzTvsbAssXD8bEaoyr//0D5HtR6eoOI/dDxdB51Z2CBkMHyHzWzmp2BliBuO"
    "+jXu9klyNE7IwnSnvlki7pht0TkB3V215WDWdMGZTMCkDAmxIIZgSv2fCgtMmq0Uf0ep+c"
    "XS4CQFrPm0+Sp/xDwjXPvz3ARmxSyOVMM+bX7DEfPa1nhghXdNZEIk8ZKLWJKyUovY/aeC"
    "eQxLWSKS1NkujNTZp5byeFTGRyff1DpXZvrMID287DT34DmI1ugVsPN3NZJU9bbG+m2NmC"
    "6z475GP+L0OIHduLGRHFlV2tkIsM8wY2JiybdgnEAFLWS7yGDa4DYiMQdhG+rcqGn4qVMZ"
    "KPLLuBmBgbaOshpygnO35yf3KyJVSe5ZyJ0EMBlwZwOJyRReHlToEzL0dWmZpFXWXUyZMj"
    "8s6riKp0OonLFVk84NB15gwVCwsO7giUF8wFSG1xmbjRjmlJVdswSfxK9TAkPFBDE6ZIjE"
    "utw6cYZBO8B4G/PF70cxKyKQruZT5dsPEdsggWf0JJm9M2XV4M1VxWypsDMo6Pye+Axzup"
    "HVhVKGVdiLPZlUdXTeg0fn1b7BA1e4a7v5TyHm+HpcVtBp2lrUlRZ1TGspKegkZe0oqbKU"
    "A12whEIUI6kN9vUGO0K1B2v92mfzOCHdaKrHBlRZOz0+XaX39VJb/yXyBKZ3Ew8E93vNFt"
    "hXJwMbWV4Nv6i51qsRO1lYxKshpKdAeRzQkGfSH8BZ7s0zxUh2OC5cOpfPnnP4VGifbo8Z"
    "fIocItbK3giWRVofBKnWQVWZcDljNgkSMedPJZjGuHBkx9xkujw76lhiQRbCvm0WisCGNq"
    "AC3t2e5SXdE1/pLYWB5bGhit/Ar4y6LpvNXWcoMx/4Mdv4zkfo35yY+M6SJVJglbGJ2auw"
    "0dHSD/C26LJJHHHDF/6syLhsxiGcMUNeJ48BKYQSrqI6rOUJGeKMyWLOWNkwqPDIdzE19S"
    "nUl2wMDP244dLFilfXz72RZTpTeD7zYM4dwZRrUSA0VKwIJbbHOUAnZ2NZxWZzYbtNvM1+"
    "hG+HzmQExQL9axsfrBxE+JXbprBNlW+V3sH8i4OmmBtSDivN8NZc8YS1myRow8/AF28mcJ"
    "FixCwjfydHCq6jFQdpDOrCXZM0+Z2LsUx2o9sjx0FHmuTIl8VRxgVezPDmTMPjXhv65H0K"
    "4IpIcjsW1dmyX2OTy9FVRo4BTX63YlyDfsUerfWwlzqpoPojz6uj138m7oqdUPCvXlM9k5"
    "8pjCfF5kSxWR1WW1y6prq3v2vqpGyReOu+SA4beyRrrb30rd4gqM4GQTA/F9Wdw/n88E51"
    "3MududSelDqGENTf6QxC1XB+6EMIcu0qM6pDgjriaHPEUVyVK3NaKU73dY2+pzsbevs4pJ"
    "RU0QpHGSeoDm+83svJ/1D3WUV582URIfFXXvOURr4KdONf151rvPJBVbjhV9e9Xrf3/Wlg"
    "3d3w/vX5eadzgZVkmCUzsN67dvcSH43BTsLf53h1xKV8pCMSaL2mLexCC+nes4yo7mj+AW"
    "mWoSaeCQF2Fs+JZcggTx83A/qHlGa2X2Qvx8w+frxMrKhn3fT9n9cfzjogASkAqGQqt//q"
    "DDW3BS6zpc+lxunqmR6UOt9zVMJTGid57BDuLT1O3AtXAss02QEdlt4btAmf3Aq06+MO0r"
    "SVCjDpf7Iu1K/jI90S+q2GXYA1fTY/fnJUh5H5M33gKN5C/GnaOvCkypKOO7hLCjpFWsu5"
    "ynLGna+sIJh8yzKiqK3KQlYls22RgfCAfc7b/g4IDgHgdR9L5+fBeqdeItFFUD3t6UuijT"
    "vKDLe4yyCeIKpRL4+6bzNnhirmTyVJqkPA/QG2CuRY1WTmt8+lEg+sEB4e4C+ftQoADrVy"
    "AZdldeKcP5UOBFaevZ2Ak5S1pltlKcejUEqKOUVay7lqcq5QTGRfh4HiydfOjI0My5ubYi"
    "Q1x69aOFjyFoaPjDgE6jDZqx86iDcM63jZMN6DFOWAkjNYEKUoD23LW53C0ECH2XfMyIqg"
    "vL/GgtRZNibLgtpDGVc0xN2mI5VYl5juKTJZygDKue3xMFaR+0l1hU1mdEkMW8yx5mzX8P"
    "GvGwFToeDxPSq1+fFGODi07Au+Njif4oSV0rjqmbpCM/X13BI0+YEnS9bOzp6sU3Ba7rvY"
    "BSITlZ4Sw7ORS5QoQ/HCuVMl6caJTJ2xMqJKwS1OOIPyjNn4ntrYYbqsYzQfPEYTC1ZBX5"
    "dTN6DYMqfuI5ob66S6tW+gvvK4koew68tgih7EruxlMPIAfJYu5Wy6AAbPlpe48UWXx0HV"
    "9cJT6kxRpZlTx7HM0ZGDJ+YIZjEeftOi3wzxsJpD7phtjpfZd7xszQ0N1CgpGeYzU+atfz"
    "JGHRYMjzMbpoOva+BhOZmNmXKB6hTYt1bRU82JIzrYx4UAoWGnCxzLkSBr8C6SYF2CrpuG"
    "xcbuTeP4ONHGk9NT3DNoktdPggNN2TXI//5Hjr5p/eVI/awP8VRKQcRxUNaNEac5OFfGvW"
    "z3J7/OElCvEB7g4al7QRzn0WygN0ftB7RVxrrRvvjQ7Z0SasxMWHn6g+uLTm9wSpwocUcF"
    "Yu9rS+iwLaFAjdlCwinSev+sanIu4ZVdSXe9YzKnw0t1fa95nNpggejTRoax5ZesNbdoVG"
    "eTvZUPw569wrnnMTJ1/oxTGP5cUF2dcy9nMPLVejAzs9PO56uaMZIqKz5VUjLxoyqBsF/9"
    "ANF99rRI8jCola88Pn26eue2vMh2FeH8FAgxkjoLQsksCF91F/bL/wFGD1qM"
)
