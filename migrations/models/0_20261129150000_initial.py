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
COMMENT ON TABLE "audit_log" IS 'One act, or `count` refusals of one kind within a short time.';
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
COMMENT ON TABLE "enrollment_totals" IS 'The differences of one slot; the totals are the sums of all slots.';
CREATE TABLE "idempotent_responses" (
    "digest" VARCHAR(64) NOT NULL PRIMARY KEY,
    "fingerprint" VARCHAR(64) NOT NULL,
    "status" SMALLINT,
    "headers" JSONB,
    "body" BYTEA,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "ix_idempotent_responses_created" ON "idempotent_responses" (created_at);
COMMENT ON TABLE "idempotent_responses" IS 'A response that is repeated for the same key; inserted in the transaction of its effect.';
CREATE TABLE "students" (
    "email" VARCHAR(320) NOT NULL PRIMARY KEY,
    "enrollment_count" INT NOT NULL
);
COMMENT ON TABLE "students" IS 'A student who is in at least one course.';
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
COMMENT ON TABLE "tasks" IS 'A piece of slow work, inserted in the caller''s transaction.';
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
COMMENT ON TABLE "enrollments" IS 'A student in a course; constraints refuse a bad row, not the code.';
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
COMMENT ON TABLE "uploads" IS 'Staged bytes: durable when the upload is answered, deleted when the variants are stored.';
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
COMMENT ON TABLE "sessions" IS 'A login''s session; every token of the login has its id.';
CREATE TABLE "refresh_tokens" (
    "digest" VARCHAR(64) NOT NULL PRIMARY KEY,
    "expires_at" TIMESTAMPTZ NOT NULL,
    "used_at" TIMESTAMPTZ,
    "successor_nonce" VARCHAR(64),
    "session_id" UUID NOT NULL REFERENCES "sessions" ("id") ON DELETE CASCADE
);
CREATE INDEX "ix_refresh_tokens_session" ON "refresh_tokens" (session_id);
CREATE INDEX "ix_refresh_tokens_expires" ON "refresh_tokens" (expires_at);
COMMENT ON TABLE "refresh_tokens" IS 'A refresh token, stored as its SHA-256 only: 64 hexadecimal digits.';
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
            sql.read("constraints", "totals", "sessions", "audit", "tasks", "catalogue"),
            sql.read_search_text(),
        )
    )


async def downgrade(db: BaseDBAsyncClient) -> str:
    return ""


MODELS_STATE = (
    "eJztXXtz2zYS/yoYTW/szKgeR0nsnNPrjGQria62fGfJfbpDwSQk8UyRCh9WdL30s98uwP"
    "dLpB4OrfI/icACy9+CwO5iF/ijMTMUpllHbUdR7a5um8vGGfmjodMZgx8ppU3SoPN5UIYP"
    "bHqv8eoU60maMeHV7i3bpLINBWOqWQweKcySTXVuq4aO1a91RqBCkxgmGcmGo9sjYrKxY0"
    "F1YoyJAeUPqq6QhWpPVZ1QYk0N0ya2OmNH2IViyNCHqk82bu1Ov9NHQG2YI6JaUOZYzEQU"
    "msSeMiJrFGopvA11DMXwjtDEglqiC6aIbo05Myk0cvYdr/D9iIzhMbRwp8vGbEahd03V2T"
    "vSx5aQEcOxveaOSJvA20wmzHRbtYhtEHlK9QnD5k02Mx7hJYlpLPj7O7r6yWGSbUwY9GEC"
    "Cr/9Do/hJdlnZuHfPxpjlWkK/92gNhKpSgMrsc9zk1kWiMLy6Dypq58lX5KSzhbM4oT2cs"
    "6LG5waZIt/DqlNLrqD8yZRFf7jReNLk0S7RVj5iFinf586o3ssbpJCXOCw24ANlzyTDyhP"
    "ZQTbnD9InJfI1wUsQBF/Lnmt3t72Lt7zmji+7yXZ0JyZHtSeL2HM6H51x1GVI6TBsgnTcf"
    "gxJfTJ6Y6muZ+n90iMGnhgmw7zh4sSPFDYmDoafriN78aOzt+MYE+SY6swHcBQnlP7CJ+c"
    "fu/yGaKRpP71UBp0h5LUSHz0yE/sy3UfySACQFPVbZTEH19EuwE6/GkDOzj/2L45fHXygu"
    "NhWPbE5IUcu8YXTkhtKgXCDyAXso9CfgGQ4SSQDrugiMGuuCRH3o914PceBPgH86QHpgdX"
    "BOC+sTh8sRtoh72r7mDYvvoXNj+zrE8aR6g97GJJiz9dxp4eCkkYMNmLZcBvhPzUG34k+J"
    "f8et3vxuXl1xv+ip8rLB+2IenGQqJKGA3vsfeIf9m+QP3vMirU8yk1MwTqU8SEChA9qRi3"
    "8500ZvSzpDF9Yk/h78nrHOH+2L7hn87J65jA+m5Jixd9iQAMCxR87ywd4a7uzDjKPeCJ6j"
    "JLoB0irzLcjQsYn2dEgWX5Tr/pvr8ddC/OvLU9rmoUEcTLkwKCeBn/cgJBYNGX+EgXC2GJ"
    "gS4I1gLeXQuqOcxbb94UgBdqZeLLy1IAlsotymGaDZbmioG9ydob4GlTE/TSMiM2oNi/If"
    "vmZavAkIVamUOWl8WGrKKg9lpqVghI9g/k7S9/JoPXtOzUaSEb5CjV/uH8svW2yPLWepu9"
    "vmFZFGpusydR7ul2Osh+/Ri+qnj6VIrFyw1AnWDH37Zevj59/fbVyeu3UIUz5z85zYG51x"
    "/GEFSYTVUtZTr45+C6nw5iiCRu46iyTf5HNNUqAmfFhmsObIhFxLrxBuXhVfvn+Hg9v7zu"
    "xJc6bKADyKNdP34ImZn44J7KDwtqKlKixGgZWXWTRbPWLP6E6nTCgcQ3xvdznXPnhmNarJ"
    "HitnNLmnkuO5nXsYo57NpEVE863/wS7khTZ8Cq5Jia60wbGyZTJzpx154msUBrYgqhFpmo"
    "j0x/R6hOnLlmUAWecmokVHUyeqSmSkGooybUUfy2bWo98MbRO4d/4Ae1yYw+MKCzmwSmBl"
    "WDX1jHZFRZruMwk4ESRrxUwmPk4rnSbRY0vcpxtTETMG0/emIvxwvpwQdwe9Elh4o6Hqsy"
    "fKLLJINBGTa7AbtBQyvhC6o2SXEobdXWWGm2fKp0VngxdloQrmAAS6XYCOiyeYm0/YL89L"
    "F70yWRh6Q3IDDBkv7t5WXtmqySa9IfZoWtJY+gyo6VKhn4Yc4SOA/hK8pSkSJke4F2ngu4"
    "+/MwXz/yPcCX1/0PXvW40hSDPrJGrONIjLZQZSE0Ot0PvX6/e3NGOmyi6sDTnQ7Kevfmqn"
    "vRaw+7ZwRsGmbOmKICs3d6++LHdv8cHY5t5RFfviIeR1+NKzMrRYj2z/JtHb8uYvpiteyp"
    "iRfGjN+I2lRmgypKWW9UVXSjypkrawo4SlkLuKICjur1ZbTnOGG9kZDiXEkDOonye+Fp+I"
    "EtE9pEDFXXRzJ0m3mWuAZPAxZNuvDtueTQAgDgtZnNIQAuQnZguucqgJ3ppqFpM4YsJHDv"
    "uMTvf7hhGs1QlV3Iu35D1dHZNkY+MhV4TqvNcOqh8H4UTe0rUsLptyFQt7yRfYJo9/7ioW"
    "FTrZHpNBbFzdWeY8nGmgX9xx+NBQG+lq6zmIdlUhJYdujNNRmhZoqHuSTtak9vpu+rmrbq"
    "ao/YX85SzfGlecO34FaiX//rbiVuy2LdwrZiRTa3QrpCylwV1SSyp6qY6lJko8uyHQXqEx"
    "4oLqacdySEsxsbBoX3VMGA7CbRDVsEiwMDaTtk22iy5AaW26XEZlTl49udtFdvPDifpBBq"
    "UqQhKWilmbUTESFoEp8iZX8r3Jjos9z2UZhPt7GVu29en00S6nHV9tGmzK3iKo+VeqemOj"
    "s1ia+qqG80QVhlN/aaDtJXreMCqzvUylzeeVnUOxr78sp4z2Kktfusou6z2gG+5wKuHeB7"
    "LuCIIldUIYkQbVMvqYZrZ7ueb9kP6NvQ6x1EBj5PWFc6viPDKuL0Pm8PztsX3Tyf99MYtJ"
    "keuHiVZjHTtpQnbghGJXqpmMlgoPj50ZZm2O9ETCVvDN1p/K/lzITHTdN4JStp4G6nyQ38"
    "dthICZ+PV307Lp9duOeeOI482+DJ3/pRJ5kYxwj3ybv291br1avT1vGrk7dvXp+evnl77K"
    "OeLMqDv9P7gBKILNvJ0H7XdCyJf5iqBr8U+BVxgPYUNpsbNgjxhllzAIOlLRkptXJXDdWv"
    "L5kuQWHPqEcgIu55eP2cG2DeWRfEAubIA1u+IyrUM7FI1cUSYFLdEgnYOPWrtkUYrBiyne"
    "Yv3U1HPEFBUSfMsv0EgsHH9retNyd8yeInePCjHGRYmZiJaQfYR5OMxsAaM+fAIZBypoAA"
    "6d10rwMLj/nQEVZMRSNT9pkqTFZnVIOVccKZoPIUz/kwjUXo+A//TYEfdPniWSGqja+zZP"
    "aGiQurXZRpg0FyW8hxofpd5HknBdBlfGQBRXX3zb5ydmL2Qh0aoWUwj5HtoVdy+4mhYGLZ"
    "TspyPICvXctZkD2qtZbjioUhuavxq9bpib/+4p+8FXdw1b68TOo3UwZTpVkqdTFEUqculk"
    "tdDCN/bygpgQ4dVafmMh14jyKG+v3SFlrE3uDdcSH08Qa4O71+++aX9FyITgrknV+G3XYd"
    "7L3/rtCqGAzhqME0UyEWVZhjJPDg0XAsY7Ej/Sz1v0xEZwkv3IElUhDPMMvXuP8PaOGe4n"
    "zvyA/MJg6MNZOMQMsepZ/rt3mTKQr0byF/6kJVQE/4vairqd50f/JNdyGhBOqZmpZff5/8"
    "Hls7KWLK1Mm0jLc0IKjxTMFzbJiztNU8x+byKfbQ3Np+LqKvXBYcr379erimDFdYFsuMVb"
    "f6Hg7UneSZ1xvh9UZ4vRG+wk65YWMQ93RoPDC9kWKnRMqbeXaKKWqCbg9VS2xjcCrCqcIn"
    "EqGb3t8Q0LVlhis/fcdiwzZxc6IHdS1HlpllGaa3Q/Hxqn3uWTi8db4tMfLrgSUK43zUTG"
    "/3DA87ZzBWlDsdI8zdE9CxMeORmRqdEzCLrGBPxW+3SRZTVZ6KXQ5jQRSDiS2KqaEpa0Wk"
    "i32IYkffRCUrubTZexJB4ynB25/nKjRWbEsk1rFLm91x0Hi9GVJw5d39ZkhI4gnIV8QMRy"
    "gr5WXb/fEvz8HXFokrtdYLKrW26UZ9Pj7tZyff2BpXZvpMId2/E2l2sLUZrNElDJgoVW3B"
    "5FswIV1mQxNmELT0PIFdacNER1aVjBgP+xT7JSSWbNPF8lTQgkYLvyfoAOwDQfeOMFDfl6"
    "5F4JoH4mqiqWt1qEqaobJWO8I4IUxXLLzmZhRoSSP8z2lg8Fn2EUEbRqOWTSifgN2GXQJO"
    "7GrW/JjWEdgnd7rJHuGZ4vEkAr5mbHbP0IgS57lCH5FrksASUUFUFhkhtcwDt6yRH/Glr2"
    "WiuIwUsxQ8CUouVbaNEDTrHcwZPImeyhmzXPAqqmL2ks+MMWc5ZpLbYAYbaSyUMp58LrZk"
    "NtWbbU++2VYHKOy5Ul3bxn8JMYdX2bKCjtPWoq60qENaS0lBRylrZ0iVpezpgiUUohBJbZ"
    "TnG+UI1RYs8lu3mecJ6UpzPDSgytri4ekqvmkXiz8ucf5ffKtwT3Df6SmAA5EZ2EjzXLhF"
    "zVzPRSizsMx5Woup4V7tAuamxtBHgFnC2ffKFCfcIHW49Ek+Wz7Bp0L7cls8v6dIQrFU9t"
    "avNNI6xqtaSav8UOWUmcU7bDl7WsGjigvPKXOVyTws3NIwndIwH5qJRFCRxHlghTNC06aZ"
    "tdtCr+iQ54BqdEnGqqaJi6tgTDlsJMI08AOjts1mc9sakbFpzPx7qw7QyzlR8WVF1qllYJ"
    "S7SD3VGVOsOx0jRrhDE+E8Ip0lGeEEyFzvKdSfO/eaak0ZPzaQzByYHO/9W+v5zVmYZero"
    "OrwvnzZ5FRM+kMWdji3z9t4RAyfOhYqZqDzj1qbot8V0Ww0UqXWcqXwE4CdqqoapigNR6S"
    "NMnijxYv5EPiYkxcm5gwlrN4nXh3t4Xrgbz9eJ+XeM/IMccPEoBwlPZwjYwqxxmmzmQk1G"
    "2ej1yaHHSJMcuPI5SLlhiynOnEkYhrmCJ+eTB1dAkslYUGdNvsaqzkddGTl6NNlshVr1+A"
    "o9ynWVl8p7FvzwPBJ038+Mx2L5zu7daIIzbA/Hk2jmSDSTHFZr3Iom2NvePXJctki8Ni+8"
    "hZUc8Vq5t7LVnv7qePq9+bmo4uvP5/sXC76TS22pOSmV1OzV3yijuWo458C6k5RmvnaVGd"
    "U+QR0etDo8KKzKRQHOP/sgTPd1Lbbjja20bRx5EFXRCocER6j2b7zuJCPH132SKK++zcEn"
    "/sprntDIk0A3/n3bvcU7GUSFO/3mtt/v9T+ceRbfnT64PT/vdi+wEo+JZArWe9/uXeKjMd"
    "hJ+P8c73a45I9kRAKPTY6byl8n+0+wI7nnLLEUNbFjGGBn6RlBCSnk8cMrgP4ppZnu1NjG"
    "itq5vr6MrKidXvyCzturThckwAUAlVThv0/OUHPTwGW29Ck3Ybp6pgelzvX9lHBzhkmeO4"
    "RbS1sN+9FKYBkn26Ojl7YGbcQnl4A2P4AgTlupSJHBJ+1C/Ds8kDVDfpCQBVjTZ/PDFwd1"
    "PJg703sO5DXEH6etI0iqLOmwg7ukoGOktZyrLGfcwkqLZsm2LAOK2qosZFUy0zRSEB6yz1"
    "l71x7BPgCc97F0fx7mO/Uix+Z51eOevijauB3McH+6DOIRohr18qi7NnNqzGH2VBKl2gfc"
    "n2CroE662PMlGYwOcz0BRylrxavKUg4HRZQUc4y0lnPV5Fyh+LqBDAPF4a+dGmfnlzdXxd"
    "tJllu1cODdAwwfniYM1P7tDEwX+w8Ej1rAA4c0wxahZ/xYIZzB/NRijN7FckG8oJiJbD6y"
    "1Fzl3XXmJjTLVD/g8XKwiioiOm/EA15GZxhOJ24smpuO7ofS6e41EYZJZnRJFNOYY1ezTc"
    "OQv24wRoWCkLeoX2WHvuDAkNIvjVrhBwkTVkrbqmfpCs3St3PNoNEPPFqSOzM7vE7BKXlg"
    "IwuEH3p6RhTHxFbIYspE4LJoC+dNqlsLPE+hSUTejhJU8g765tOdOLouOR3vsqMNJs46cP"
    "DJAwexIAl63rURHsWa10Y8o1myvjei9hDUV+hWMsW3Pjm4aJpvZU8O5unVaVqVm3ado1NZ"
    "7n1RBYxcHc+uwgRDcXntlFpT1Gvm1LI09f7A4plahqaQ0Tct+s0Is6os8shMdbxMsWI3aQ"
    "3N1ODIK378Fjdy3XQNcS8KvpqXI6uoFr4xGMemONeX6jyxC6xZrWiqbCR1BNlcGCA35LtA"
    "ugjHWYLX4QR5J0DdNTQ2tu8ah4eRPl6cndlQqUlOX3iJNuk1yJ9/koNvWn87EH/r5JJK6Y"
    "g4Dsr6NMI0e+fX2Mk2dPTrLAF1gnAPk3p2gjjOo+lAr44m92irjHWjfXHV658RqsxUWHwG"
    "w9uLbn945p3FEF/evlJMeG0M7bcx5Kkxa0g4RlpvpFVNziVctIkzkzc8LWj/zkve6UFBbT"
    "BC5Gkjxd5yS3ItLhrUWWVyZcOwZcdwZp5Aqs6fkh3gzgXV1Tm3khuQrdaDXZp+dnm2qhki"
    "qbLiUyUlEz+qEgi71fcQ3ZfHRU6kglrZyuPxcfKONt1maQdPZafmh0jq7PyS2flfdUv2y/"
    "8BvgfDCQ=="
)
