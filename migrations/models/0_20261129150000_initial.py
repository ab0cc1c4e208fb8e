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
    "eJztXXtz4jgS/yoqaq+SqWJTM8zzMntXRRJmh9sMcxfIvi5bRtgCfDES40cYbm/2s1+35D"
    "c22EAyDut/UsFSS/KvZam71d36vTETBrOck7ZnmG6Hu/aycUp+b3A6Y/BPRmmTNOh8HpXh"
    "A5eOLFmdYj3NEhNZbeS4NtVdKBhTy2HwyGCObptz1xQcq3/kjECFJhE2GerC4+6Q2GzsOV"
    "CdiDERUH5rcoO4U+oSHcZEdEs4jLhiwtwps0+wH0Po0JHJJ/tp8obf8CE0IewhMR1Ciecw"
    "G/Fowv+6Rc0ZM2QzC6gNnRF4XZOTBXVUR8xQnYs5sym0cvqdrPD3IRnDY+jihutiNqMwBs"
    "vk7C3h0Ngp/B0JYymbgfoT6MPkJ6RN4M3gl+237cA4iT6lfMKwE5vNxB2OwRYLiYXHzU8e"
    "04KXAUT+/Rs8hhdmn5mDP39vjE1mGfL/BnWRyDQaWIl9ntvMcYA3TkAXTAPzsxayVuNswR"
    "xJ6C7nsrghqYHZ+OMYcL3o9M+bxDTkP08aX5ok2S2iK6fINv2H1DndYzHwqsgocB7uMAyf"
    "PHccUJ45EGxzfqvJsSQ+NxgCFMnnWtDq9XX34p2siXN9pOnC8mY8qj1fulPBw+qeZxonSI"
    "NlE8ZxEjIj9g1yz7L87zV4pGYNPHBtj4XTxYgeGGxMPQu/5MZ3Y4/LNyPYk+a5JqwPMKHn"
    "1D3BJ6//7o8zRqNpvY8Drd8ZaFpjZRXA8aS+Yv+RDiwANE3uIid+/6LajdCRTxvYwfn79t"
    "Xx81dPJB7CcSe2LJTYNb5IQupSLWJ+BLnifRLyC4DMhe88G3ZFkYLd8ElOgn+2gT94EOEf"
    "LZwBmAFcCYB7YnH85H6gHXQ/dPqD9od/YvMzx/lkSYTagw6WtOTTZerpseKEgNVf7QthI+"
    "Sn7uA9wZ/k14+9TppfYb3Br/i5wn7iCo2LhUaNOBrB4+CR/LJDhobfZZKp51Nq5zA0pEgx"
    "FSB6UDbu5ztpzOhnzWJ84k7h56sXa5j7Y/tKfjqvXqQY1vNLWrLoSwJg4bnwvbNshDvcm0"
    "mUuzAmynW2gnaMvMpwNy5gfp4SAzbnG37VeXfd71ycBjt8Wuwowohnrwow4ln6y4kYgUVf"
    "0jNdbYQlJroi2Ap4fy+o5jRvvXxZAF6olYuvLMsAWCu3KcdpdtiaKwb2LntvhKdLbZBLy8"
    "zYiOLwpuzLZ60CUxZq5U5ZWZaasoaB0mupVSEiOTyQ97/92Qxe03Ezl4V8kJNUh4fzs9ab"
    "Ittb603+/oZlSail/r6Kcpe72SCH9VP4murpQwkWz3YAdYIdf9t69uL1izfPX714A1Xk4M"
    "Inr9fA3O0NUggazKWmlbEc/KP/sZcNYowkreOYukv+RyzTKQJnxabrGtgQi4R2E0zK4w/t"
    "n9Pz9fzy41l6q8MGzgB51OvHtzE1Ex+MqH67oLahrZSIlsiru1o0a83STyinEwkkvjG+n2"
    "+tOxee7bBGhh3PL2mus+Hpso5TzILXJqr6qiEuLJH2NHMGQ9U82/JtamNhM3PCib/3NIkD"
    "UhMzCHXIxLxj/C2hnHhzS1ADLWFIjYQmJ8M7apsUmDpsQh0jbNulzq1s3J0ygj+UhW9Gbx"
    "nQuU0CS4NpwX9Yx2bUWG5jMNOBEma8VsJi5OO50WwWNb3JcLXzIGDZvgvYXm4spAsfwPVF"
    "hxwb5nhs6vCJLlcHGJVhszsMN2poI3xR1SYpDqVruhYrPayQKnsoshg7LQhXNIG1UsOI6P"
    "LHkmj7CfnpfeeqQxIPSbdPYIElvevLy9o0WSXTZDjNCmtLAUGVDStVUvDjI1vBeQBfUZ6I"
    "lCA7CLTXmYA7Pw/Wy0ehBfjyY+/7oHpaaEpBn9gjtjEkJluoMhMaZ53vu71e5+qUnLGJyW"
    "FMNxyE9c7Vh85Ftz3onBLQaZg9Y4YJg73h7Ysf271zNDi2jTt8+YpYHEMxrsyqlCA6PM23"
    "9fRFEdUXq+UvTbIwpfwmxKYyB1RJyvqgqqIHVd7c2JLBScqawRVlcFKuLyM9pwnrg4QM40"
    "oW0Ksov1OWhh/YckWaSKHq20gGfjOPEtfoaTREmy5CfW51agEA8NrMlRDAKGJ6YLblKoKd"
    "cVtY1ozhEFZwP/OJ3/1wxSyaIyr7kHfChqojs+2MfGIpCIxWu+HUReb9qJo6VKSU0W9HoK"
    "5lI4cE0f3biwfCpVYj12isipubLceaizUL2o/fiwWBcS19Y7F00aQk0uzQmotOlnaGhbkk"
    "7WZLb67tq5q66maL2J9OU11jSwumb8GjxLD+1z1K3JfGuodjxYocbsVkhYy1KilJ5C9VKd"
    "GlyEGX43oG1D9yyNyiOsOzKOovPW+J6TokhnmTcOHKkygd+m76bmNQf0Sl73jWcdne2y95"
    "tOX3r7EZNeXM95fzzUcS3icthqeWaEiLWmnmnVEkCJokpMg4+Yo3pvosd7AUH6ff2MZzua"
    "DPJon1uOlgadfBbRrVuqHUZzjVOcNZ+aqKWk1XCKts4N7SdPq89bTAvg+1cjd+WZa0m6a+"
    "vDJ2tRRpbVirqGGtNo0fOINr0/iBMzghyBUVSBJE+5RLqmH02a9NXA9d/Xa0h0c+g48T1o"
    "0m8cS0SpjDz9v98/ZFZ501/GFU3VzbXLpKs5jSW8pG9xP6UWLAs2OB0jmlDnEY4wSDuNAD"
    "k0zEW+V0KdtEe5v86XgzZZKzLEnprCq9e215B/seNlLCNhRU349p6D7MeA/sb56v/qw/Ij"
    "InuRinCA/JCvfXVuv589etp89fvXn54vXrl2+ehqivFq2D/6z7PXIgsYmvhgD4imRJ/ONU"
    "NfilwK+IoTRxWJixdaQPE/P3DXVmHD/CLJbawzH/y9ShjNpijxzleXyKzv1i9B+mu1iMS/"
    "rI02+ZSzyYGzYZ3rLlMDu1x+5NZmwT/44JSwvTcKeN34ruHLVF7cEtaopDxXfrsP4hLWN7"
    "CxCbgjIwLSP8RAQ1nhl4joU9y7Ja5Bt6I4oDtPDu3wV5tHRZhiyTO1/D+vV0zZiusC2Wma"
    "t+9QOcqPcSXlJbuWorV23l2qCn/MDmbps7CymLr2gpsdLmWh3FYLO5cNG2BZNnDmgUDmHm"
    "oDtgB03MrTdiKgCZ0AmA+ZaY0JDtymx8yhRlQ2WVMAoVjQVasEyXuMyyMgxce2xbhlEb5o"
    "Q5bhjm3H/f/rb18pXMayizDcqEczq1LFB50IAG63WTDMcwGmbPYVBAKqOifRXJT0px5GBK"
    "Qo7gYcIMMmWfqcF0UKwsAj2i7wmj+vSEhK+jWoFR+G4oNiNLFj7A9Iamiy8GD3eMst7sNZ"
    "HFec1vQU6RDRHO6xwmFN5ldsiIorpOfltukftKpZKv2sUmaikJOkl2gNLJ/rPYwH7oehly"
    "dB8+emuNVTCg2kqarljMhC9MP2+9fhXK0fhjnQjd/9C+vMxSo2HFtEvlWYmR1HlWyuVZSe"
    "iDwshQYc5MTu1ljkboU6RQDxXFg8H7zIcwxBvgPuv22le/ZAdun2VAfvbLoNOuI1MP3zuj"
    "IqcWV2wMLzIdiFvGGxn6QKJ8rUZgq5ogdELVwl7ePhWRVE1yCxBxMlpKB+xQ3ObWMkdQzn"
    "Ls3rVJlPwH8hQc6JXkPRaWJRaOn80IRfn3H9rnKNbDExT8h46n6yAzCxuYDIrvsJnd+Clo"
    "GeKGo3yNp32SHJUTsjDdqa+WiDtmW3ROQHZXfTmYNV1wJhMwKUVCLIghmBL/p8IClWYrwd"
    "9RYn6xNDhJBms+bb7IHzWe4a79eW5CY8U0jlTHPm1+x1Hjta7xwALvGs+EiOMlN7EkZaU2"
    "sftPBfMYtrKEJ6mznRups08p5fGIjI+Ov6l9rszymUF6eNlp7sFyEO3RK2Dnn2okqepjjf"
    "XHGjFZZsdzjX7U0uMEduPBRnJmVelkI8A+Q42JsSVfg3ECEbSQ7iKdaYPbiMQcmG2ouFHT"
    "8FOnMhDkl3E1Ah1tHaU15Djnbt+ePK+IRCV5ZiFPEkBlwJMNJCZTeHkQoU/I0JelZZJWWX"
    "cxZUr9sKjjqjYdQuWKrbp0bji0BRoMBQ3rDp4YxAdMZXidsdmIYU5ZOTRL8En8OiVQVExg"
    "o0OGSKzLoxNnGPQDDW+jvvjjKKZFBNzVfKp8/SFqNkjgGT1JZu9MaTV4c1UxXSocDDI6fy"
    "R+gznDyBpCKcUqHMWeVKraO+/BvfNq2+CBC9y13vynYHN8Py7L6DRtzepKszomtZRkdJKy"
    "NpRUmcuBLFhCIIqR1Ar7eoUdodqDtn7tN/M4Id2oqscmVFk9Pb5cpc/1Ukf/JfIEpk8TDw"
    "T3e80W2FeRgY0sq4Zf1Fxr1YhFFhaxaghpKVAWB1TkmbQHcJZ780wxkh3ChUvn8tlzDp8K"
    "ndPtMYNPkSBireyNYFmkdSBItQJVZcLljNUkSMScv5RgGuPCnh1zk+kydtSxxIIshH3bLO"
    "SBDX1ABby7PctKuqd2pbUUJpbHhsp/A78y6rpsNnedocx84Pts4zsfoX1zYuI7yyaRAquM"
    "TcxehZ2Olr6Dt0WXTeKIG77wV0XGZTcO4YwZ8jp5dEghlHDl1WEtT8gQV0wWM8bKjkGEx3"
    "YXU1OfQn3ZjIGuHzdcmljx6vq5N7JMZwrPZx6suSNYci0KhIbyFaHE9jgH6ORqLKvYbC5s"
    "t4m32Y/w7dCYjKBYIH9tY4OVkwi/ctsUtqnyrdI7WH9x0hQzQ8pppRnemiuesHaTBH34Gf"
    "ji3QQmUvSYZeRv5EjBdbRiII1BXXhokiZ/cLEmk8Po9shxMJAmOfJ5cZRxgRczvDnTMNxr"
    "w5i8TwFcEUnuwKI6W45rbHI5u8rwMaDJH1as1WBcsUdrLeylIhXUeGS8Olr9Z+KuWISCf/"
    "WaGpn8TGE+qWZOVDOr02qLS9fU8PZ3TZ3kLRJvPRbZwsYRyVprL32rDwiqc0AQrM9FZedw"
    "PT+8qI57uTOX2pNSYQhB/Z1iEKqG80MHIci9q8ysDglqj6PNHkdxUa5MtFKc7usqfU93Vv"
    "T2EaSUFNEKexknqA5vvt5L5H8o+6yivPmyiJD4K+95SiJfBbrxr+vONV75oCrc8KvrXq/b"
    "+/400O5ueP/6/LzTucBK0s2SGVjvXbt7iY/GoCfh73O8OuJSPtIRCdRe0xp2oY1071lG1H"
    "A0P0CaZYiJZ0KAnsVzfBkyyNPhZkD/kNzMtovsJczs48fLxI561k3f/3n94awDHJAMgEqm"
    "MvuvrlBzW+A2WzouNU5Xr/Qg1PmWoxKW0jjJY4dwb+lx4la4ElimyQ4oWHpv0CZscivQrv"
    "c7SNNWysGk/8m6UL+Oj3RL6LcaDgH29Nn8+MlR7Ubmr/SBoXgL9qdpa8eTKnM6buAuyegU"
    "ac3nKvMZT76ynGDyNcuIotYqC2mVzLZFBsID9jnv+DsgOASA130snZ8H6416iUQXQfW0pS"
    "+JNp4oMzziLoN4gqhGvTzqvs6c6aqYv5QkqQ4B9wc4KqhjNQ58Swalw96OwUnKWvCqMpfj"
    "ThEl2ZwirflcNT5XyEWvr8NE8eRrZ7rqheXNTS57muNXLey7dwvTRzrAAXWYe9T3ZMMLb3"
    "W8+xav5YlSEskVLHCakzHE8pKh0FPNYfYdM7Ic+u6vsyCTk425m6D2ULq5DPHw40jleSWm"
    "e4qNLKU/39z2eOg6x/0cr8ImM7okhi3mWHO2qzfz13XIqJAv8x5lrHz3F5wcWvZ9UxtsIX"
    "HCSklc9UpdoZX6em4JmvzAkyVrV2dP1im4LPddHAKReTNPieHZ2EqUt0G1hWunyhmNC5kK"
    "+TGiSsGlQriC8ozV+J762GG5rF0GH9xlEAtWQV+X4jWg2DLF6yNaG+scr7VtoL6Bt5Ixwf"
    "XdJEXjgit7N4mMx86SpZxN95FgqHOJC0h0GZ2obrudUmeKIs2cOo5ljo4cDOAimFR3+E2L"
    "fjPE2CmH3DHbHC+zrxzZujVUUKMcWZheS6m3fqCGil0Lo2sN08HXNTB2SyYHplygOAX6rV"
    "U0yDYRMYJjXAhgGg66QJSIBFmDd5EE6/JF3TQsNnZvGsfHiT6enJ66UKlJXj8J4muya5A/"
    "/iBH37T+cqR+1jEllRIQcR6UNWPEaQ7OlHEvp8/Jr7ME1CuEBxjLcy+I4zqaDfRmJ/KAts"
    "pYN9oXH7q9U0KNmQk7T39wfdHpDU6JE+WRqIAreK0JHbYmFIgxW3A4RVqfn1WNzyWssivZ"
    "l3fMLXR4mZfvNa1QGzQQfdrIULb8krXqFo3qbNK38mHYs1U4NzwgU+bPCArw14Lqypx7CQ"
    "nIF+tBzczOgp4vasZIqiz4VEnIxI+qBMJ+9QNE99nTIrmsoFa+8Pj06eoV0PJe1VWE8yPy"
    "YyR1UH7JoPyvegr75f8iVuRA"
)
