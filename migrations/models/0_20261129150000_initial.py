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
    "eJztXW1z27gR/isYzXXszKieRHmt03ZGtpWLWkdpLfnu2rpDwSQksaZAhSCtqNf0t3cX4L"
    "tIipRkh1b5xWMRuwvwWRDYXSyAX1tz22CWOOl6hun2uOusWqfk1xancwb/ZJS2SYsuFlEZ"
    "PnDprSXJKdJplj2VZLfCdajuQsGEWoLBI4MJ3TEXrmlzJP/MGQGCNrEdMtZtj7tj4rCJJ4"
    "Cc2BNiQ/mdyQ3izqhLdGgT0S1bMOLaU+bOmHOC9Ri2DhWZfLofkTf8ho9BhO2MiSkIJZ5g"
    "DuLRhv91i5pzZkgxS6CGygi8rsnJkgpVETNU5faCORSknP5eEvxxTCbwGKq44bo9n1Nog2"
    "Vy9p5wEHYKf29tYyXFAP0U6jD5CekSeDP45fiyBbST6DPKpwwrcdjcvsc2OPZSYuFx84vH"
    "tOBlAJF//BMewwuzr0zgz19bE5NZhvy/RV1kMo0WErGvC4cJAboRAV/QDcyvWqhajbMlE5"
    "LRXS1kcUtyg7LxxzHgetEbnreJach/nrW+tUmyWkRXdpFt6g+5c6rHYtBVmVZgP9yhGT57"
    "bjugPLMhKHNxp8m2JD43aAIUyedaIPX6un/xQVJiX7/VdNvy5jyiXqzcmc1Dcs8zjRPkwb"
    "Ip49gJmRH7BrlnWf73GjxSvQYeuI7Hwu5iRA8MNqGehV9y6/cTj8s3I1iT5rkmjA/QoRfU"
    "PcEnb//otzPGo2mDzyNt2BtpWmttFMD2pL5i/5EOKgA0Te6iJn79puRG6MinLazg/GP36v"
    "jlm2cSD1u4U0cWSuxa3yQjdakWKT+CXOk+CfkFQObCd54Nu+JIwW74LCfBP9vAHzyI8I8G"
    "zgDMAK4EwAN7efzsYaAd9T/1hqPup7+g+LkQXyyJUHfUw5KOfLpKPT1WmrBh9FfzQiiE/N"
    "wffST4k/z986CX1ldIN/o7fq4wn7i2xu2lRo04GsHj4JH8skOFht9lUqnnM+rkKDTkSCkV"
    "IHpUNe7nO2nN6VfNYnzqzuDnm1cFyv2peyU/nTevUgob+CUdWfQtAbDtufC9s2yEe9ybS5"
    "T70CbKdbaGdoy9znC3LqB/nhIDJucbftX7cD3sXZwGM3za7CijiBdvSijiRfrLiRSBRd/S"
    "PV1NhBU6umLYCnh/LqhnN++8fl0CXqDKxVeWZQCsVZuU4zw7TM01A3uXuTfC06UO2KVVem"
    "zEcXhd9vWLTokuC1S5XVaWpbqsYaD1WmlUiFgOD+T9T38Og9cUbuawkA9ykuvwcH7ReVdm"
    "euu8y5/fsCwJtfTf11Huczcb5JA+ha+pnj6WYfFiB1CnWPFvOy9evX317uWbV++ARDYufP"
    "K2AOb+YJRC0GAuNa2M4eBPw8+DbBBjLGkfx9Rd8h9imaIMnDXrrgWwIRYJ7ybolMefur+k"
    "++v55eez9FSHAs4AefTrJ3cxNxMf3FL9bkkdQ1srsTt2Hu160bwzTz+hnE4lkPjG+H5+tO"
    "7c9hzBWhlxPL+kXRTD0yWNKBfB6xJFvh6IC0tkPM2cQ1M1z7H8mNrEdpg55cSfe9pEgNXE"
    "DEIFmZr3jL8nlBNvYdnUwEgYciOjycn4njomBaWO20BjhLJdKu6kcHfGCP5QEb45vWPA57"
    "YJDA2mBf8hjcOosdomYKYDJ/R4rULEyMdzY9gsEr0pcLVzI2DYvg/UXq0tpA8fwPVFjxwb"
    "5mRi6vCJrtYbGJWh2B2aGwnaCF9E2ibloXRN12KVmxVyZTdFFmOlJeGKOrBWqRkRX35bEr"
    "KfkZ8/9q56JPGQ9IcEBlgyuL68bEKTdQpNht2stLcUMNQ5sFInBz/esjWcR/AV5ZlICbaD"
    "QLsoBNz7ZVRsH4UR4MvPgx8D8rTRlII+MUdsE0hMSqizElpnvR/7g0Hv6pScsanJoU03HI"
    "z13tWn3kW/O+qdEvBpmDNnhgmNveHdi5+6g3MMOHaNe3z5mkQcQzOuyqiUYDo8z7fz/FUZ"
    "1xfJ8ocmWZhyfhNmU5UFqiRns1BV04Uqb2FsqeAkZ6Pgmio4addXsZ7TjM1CQkZwJQvodZ"
    "Q/qEjDn9lqzZpIoerHSEa+mCeJa/Q0aqJDl6E/t961AAB4beZKCKAVMT8wO3IVwc64Y1vW"
    "nGET1nA/85k//PmKWTTHVPYh74WC6mOz7Yx8YigIgla74dRH5f2kRB0qUirotyNQ11LIIU"
    "H08PHike1Sq5UbNFbF7c2RY81FypLx44/2kkC7Vn6wWKZoUhJ5dhjNxSRLJyPCXJF3c6Q3"
    "N/ZVT191c0Ts/85TLYilBd235FJiSP99lxL35bHuYVmxJotbMVshY6xKWhL5Q1XKdCmz0C"
    "VczwD6I0EWFtUZrkVRf+h5T0xXkBjmbcJtV65E6VB3208bA/pbKnPHs5bL9i6/4tKWX7/G"
    "5tSUPd8fzjcvSXhftBieWkKQFklp561RJBjaJOTIWPmKC1N1VltYirfTF7ZxXS6os01iNW"
    "5aWNq1cZtaVdSUZg2nPms4a19V2ajpGmOdA9xbhk5fdp6XmPeBKnfil2XJuGnqy6sSV0ux"
    "NoG1mgbWmtD4gSu4CY0fuIIThlxZgyTBtE+7pB5Bn/3GxPUw1W/HeHiUM/g0Yd0YEk90q0"
    "Q4/Lw7PO9e9Iqi4Y/j6ubG5tIk7XJOb6UY3c+YR4kbnoUFTueMCiIY4wQ3cWEGJpna71XS"
    "pZSJ8Tb5U3hzFZKzLMkp1p3evUreIb6HQirEhgLy/YSGHiKM98j55vnuT/ESkTnNxTjFeE"
    "hRuN91Oi9fvu08f/nm3etXb9++fvc8RH29qAj+s/6PqIHEJL6+BcB3JCviH+dqwK8Efk0C"
    "pX2DzRe2C0q8YmIBYLCsCSSDqnAOMUN6zfEZykZQOYzpYsmcNp5hcctUoj+hU1DRe2KCIM"
    "eVp16oId8BYrUxG4f6Jc4UpktcZlkZE8keZcvtCoY5ZcINtxMMP3Z/23n9Rp4fIk/1kAc7"
    "6DD/MEdOVHds1SbjCbSGOQtoFLDK3QfAgPz+5q8jgUd/cAQPN6aRGftKDaabc2oRqBFjvI"
    "zqsxMSvo6SAq3ww70wAa5Y+ACPETFdfDF4uONuhs3RySzNa76EguhpWEVRYFLhXSU8FnHU"
    "dzHtO29ZzJ+VYx21CuYptgMMSO5/tyh4V66XMfcO4aO3CmbfgGurubdmuUn+1Puy8/ZNON"
    "nij6Lpdfipe3m5bszMGIyYTqX9jDGWZj9jtf2MceTxdKosE5JTZ5UNfMCRQv125SqT4WDw"
    "PvMhDPEGuM/6g+7V37I3SJxlQH72t1Gv22SAH34UtC7eQTyVMMsvSKUaFngEMqM0nuBY7u"
    "A/Yf6bqZQtFYA7Empf4ilu/bVv/8X00H6+9fQ7MHs96GsOGYOxPc4++G93kRkG9D9iodSl"
    "aYCd8M+ycaVmvf3R19uVhtZQz7W0QvpDCnLs7fiIGTOnsyqh0YihwTMDz4ntzLNm8wKfK+"
    "Q4QHdr/xsUQ+OyZH8N6ZvumtFdYVqs0ld98gPsqA+y+bxZA2/WwJs18A1+yhWbgLpnI/uO"
    "8VaGn5Iobxf5KY6iBNseSEtnfftcRHK1yR24cpzcrmRCdrgswK1VTkA/K9F7V5G4QjGSq+"
    "LAr1YIJrZl2Uvhn26E/s3HT91z9HXgCS5QjIWn60wI2wFnFLr6uJ0t/JQsZ/YNx3UAXP2T"
    "7LiIQpamO/OXT+x75lh0QcBFUnUJPEXd5kweyKQWPOwlMWymlilmtmWAoK1y0tVyRLljcZ"
    "IK1nze/KWJSHhG+vbXhQnCyq2MpCr2efMrjoQ3ayIlJ+CHXxOJaXwN8g1ZwwnOWgXbHv5o"
    "mKcQcktklort0krFPqOpTye0/eT0m5rnqgyfGayHd1rNA6xwRnN0BT8mydU4MsWOTMyW2d"
    "GTGUaSniawG12ZZM+qky8TYJ/hxsTUku/BiMAELeW7yOTa4HYiewHKNtQ+UtPwj1JlYMiv"
    "4m4EJt4K5TXkJOtuL0/mVUWmksytkhlP4DJgBhYykxm8PJjQJ2Ts29Ly0FZJu5wx5X5YVL"
    "hKpiBUjtiqSnHDQRZ4MBQ8rHt4YhAfMHXi65zNbxmeMSubZtl8Gr9eCRwVE9QoyBiZdZni"
    "JcZBPSB4G/fFb0c5LyLQruZz5fsPkdjgQM/oSfI0z5RXgzdZlfOlwsagovNb4gvMaUZWEy"
    "o5VmEr9uRSNetxj74e1+QwHLjB3fjN/xdqjs/HVRWd5m1UXWtVx6yWiopOcjaBkjprObAF"
    "KxhEMZbGYS922BGqPXjr176YpwnpRlc91qGq+unx4Sq9rpdKUa5wbmB6NfFAcH/Q0wOHaq"
    "dgKyuq4Re1C6MasZ2GZaIatowUqIgDOvJMxgM4y72JphzLDtuHK5/ts+czfWq0TrfHE33K"
    "bCrWqt4QlsXapH7Va+OqPIA5YzQJDmbOH0rwWOPSmR0Lk+kyW1xY9pIsbeeuXWqnKNQBBH"
    "iXe1aUdE9yZbQUOpbHxip/A78y6rpsvnDFWJ6E4Cey4zsfYXxzauI7S5HIgSQTE0+zwkpv"
    "V/5GVIuu2kTYN3zpj4qMy2oE4YwZ8np5TEghlHCV1WGtTsgYR0wWC8bKisGER7nLmanPgF"
    "6KMTD144bLECteZb/wbi1TzOD53IMx9xaGXIsCo6FyRShxPM4BOjkaSxKHLWzHbePt9rf4"
    "dhhMRlAssL+2icHKToRfuWPajqnOX6X3MP5ipykXhpTdSjO8giufkLpNgjr8E/ni1QQhUt"
    "zZx8gfyJGC62gtQBqDunTTJE9+42Iik83oD8hx0JA2OfJ1cZRxoRczvAXTMMFzQ5u8LwFc"
    "EUtuwyKaLds1MbnsXVX0GPDkNysmNWhX7FFhhL3SjmrVHrlDBaP+c/u+3E5q/yo21TL5mU"
    "J/UmJOlJj1brXFJWyqefu7tk7qFpm3bouUsLFFkqrwErhmgaA+CwTB+FzWdg7H88PLMn+Q"
    "O3SpM620XTqg32mvdN1wLoD1QTZLy7mrSq8OGZqMo80ZR3FTLglw8akKcb7v6/Q939nR28"
    "dhCkkTrXSWcYLr8Prrg+z1CW2fdZQ3Xx4RMn/nOU9Z5OtAt/563bvGKyAUwQ2/uh4M+oMf"
    "TwPv7oYPr8/Pe70LJJJplsxAug/d/iU+moCfhL/P8SqJS/lIRyTQe0172N9nX6FqjuYf5M"
    "QyzMQz2wY/i+fkMmSwp4/FAP7H1GZ2XGQfM+rZ58+XiRn1rJ++D/T601kPNCAVAESmCvuv"
    "j1ALx8ZptvL5OXG+ZqQHo86PHFWIlMZZnjqEe9sQG4/CVcAyzXZAhzrtDdpETG4N2uK8gz"
    "RvrRJMhl+sC/Xr+Ei3bP1OwybAnD5fHD87atLI/JE+CBRvof40b5N4UmdNxwPcFRWdYm30"
    "XGc948pXVhJMvmcZcTReZSmvkjmOnYHwiH3NW/4OGA4B4KKPpffLqDiolziQLyBPR/qSaO"
    "OKMsMl7iqIJ5ga1Kuj7vvMmamK+UNJkusQcH+EpYJmr8aBT8ngdDjbKTjJ2RheddZyPCmi"
    "oppTrI2e66bnGqXoDXXoKJ587cxUvbC8vSllTxM+aencvTvoPjIBDrjDOxL8TDa8AFfHu3"
    "Dxmp7oSCI5ggVJc3IPsbx0KMxUE8y5Z0ZWQt/DVRac5OTg2U1APZZpLmNc/DhS91EQ0z1F"
    "ISuZz7dwPB6mznH/LgrbIXO6IoZjL5Byvms28/dNyKhRLvMebaz89BfsHFr2/VMbYiFxxl"
    "pZXM1IXaOR+nph2TT5gSdLCkdnT9KUHJaHLjaByCNVT4nhOSglOrdBycKxU91tgwOZ2vJj"
    "RETBMeI4gvKM0fiB6thhuGxSBh89ZRAL1kEvuooi4NjyKoonNDY2d1E0sYHmRt5a7gluTi"
    "Muuy+4tqcRy/3YWbaUv0+7wJIS/h1U5S5K1OXuRHX77YyKGZo0CyqEZd4eCdzARfBQ3fEP"
    "HfrDGPdOCXLPHHOyyr4acWtp6KBGZ2Th8VrKvfU3aqi9a+HuWsMU+LoG7t2ShwNTbqM5Bf"
    "6tVXaTbWLHCLZxaYPSsNEldolIkDV4F8lQdF7UTctiE/emdXycqOPZ6akLRG3y9lmwvyab"
    "gvz3v+Toh85vjtTPZk9JrQxE7AdVwxhxnoMLZTzI6nPy66wA9RrjAe7leRDEcRzNBnpzEn"
    "nAW2esW92LT/3BKaHG3ISZZzi6vugNRqdEROdI1CAVvPGEDtsTCsyYLTScYm3Wz+qm5wpR"
    "2bXTl3c8W+jwTl5+0GOFuuCB6LNWhrPllxS6WzSi2eRv5cOw56hw7vaATJs/Y1OAPxbU1+"
    "bcy5aAfLMe3MzsU9DzTc0YS50NnzoZmfhRVUDYJz9AdF88L3OWFVDlG4/Pn69f+sZdlnVk"
    "Vf6O/BhLsym/4qb877oK++1/1RHrCA=="
)
