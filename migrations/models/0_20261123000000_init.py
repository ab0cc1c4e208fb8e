from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE TABLE IF NOT EXISTS "course_totals" (
    "difficulty" VARCHAR(16) NOT NULL PRIMARY KEY,
    "total" INT NOT NULL
);
COMMENT ON COLUMN "course_totals"."difficulty" IS 'BEGINNER: Beginner\nINTERMEDIATE: Intermediate\nADVANCED: Advanced';
COMMENT ON TABLE "course_totals" IS 'How many courses each difficulty has, kept by a trigger, so that no listing counts them.';
CREATE TABLE IF NOT EXISTS "tasks" (
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
    "available_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "published_at" TIMESTAMPTZ,
    "lease_until" TIMESTAMPTZ,
    "error" TEXT,
    "traceback" TEXT,
    "request_id" VARCHAR(128),
    "trace_context" VARCHAR(512),
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ,
    "finished_at" TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS "ix_tasks_due" ON "tasks" (priority DESC, available_at) WHERE state = 'queued';
CREATE INDEX IF NOT EXISTS "ix_tasks_lease" ON "tasks" (lease_until) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX IF NOT EXISTS "uq_tasks_dedupe_key" ON "tasks" (dedupe_key) WHERE state IN ('queued', 'running');
CREATE INDEX IF NOT EXISTS "ix_tasks_finished" ON "tasks" (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS "ix_tasks_newest" ON "tasks" (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS "ix_tasks_state_newest" ON "tasks" (state, created_at DESC, id DESC);
COMMENT ON COLUMN "tasks"."state" IS 'QUEUED: queued\nRUNNING: running\nSUCCEEDED: succeeded\nFAILED: failed\nCANCELLED: cancelled';
COMMENT ON TABLE "tasks" IS 'A piece of slow work, inserted in the transaction of what asked for it.';
CREATE TABLE IF NOT EXISTS "courses" (
    "id" UUID NOT NULL PRIMARY KEY,
    "title" VARCHAR(255) NOT NULL,
    "description" TEXT NOT NULL,
    "difficulty" VARCHAR(16) NOT NULL,
    "image_url" VARCHAR(2048),
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "image_task_id" UUID REFERENCES "tasks" ("id") ON DELETE SET NULL
);
CREATE INDEX IF NOT EXISTS "ix_courses_newest" ON "courses" (created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS "ix_courses_difficulty_newest" ON "courses" (difficulty, created_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS "ix_courses_search" ON "courses" USING gin (upper(CAST(title AS VARCHAR)) gin_trgm_ops, upper(CAST(description AS VARCHAR)) gin_trgm_ops);
CREATE INDEX IF NOT EXISTS "ix_courses_image_task" ON "courses" (image_task_id) WHERE image_task_id IS NOT NULL;
COMMENT ON COLUMN "courses"."difficulty" IS 'BEGINNER: Beginner\nINTERMEDIATE: Intermediate\nADVANCED: Advanced';
COMMENT ON TABLE "courses" IS 'A course.';
CREATE TABLE IF NOT EXISTS "enrollments" (
    "id" UUID NOT NULL PRIMARY KEY,
    "student_email" VARCHAR(320) NOT NULL,
    "enrolled_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "course_id" UUID NOT NULL REFERENCES "courses" ("id") ON DELETE CASCADE
);
CREATE UNIQUE INDEX IF NOT EXISTS "uq_enrollments_student_email_course_id" ON "enrollments" (student_email, course_id);
CREATE INDEX IF NOT EXISTS "ix_enrollments_course_newest" ON "enrollments" (course_id, enrolled_at DESC, id DESC);
CREATE INDEX IF NOT EXISTS "ix_enrollments_newest" ON "enrollments" (enrolled_at DESC, id DESC);
COMMENT ON TABLE "enrollments" IS 'A student''s place in a course; its constraints, not the code, refuse a bad one.';
CREATE TABLE IF NOT EXISTS "image_variants" (
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
CREATE TABLE IF NOT EXISTS "uploads" (
    "id" UUID NOT NULL PRIMARY KEY,
    "data" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "course_id" UUID NOT NULL REFERENCES "courses" ("id") ON DELETE CASCADE
);
COMMENT ON TABLE "uploads" IS 'Staged bytes: durable when the upload is answered, deleted when the variants stand.';
CREATE TABLE IF NOT EXISTS "users" (
    "id" UUID NOT NULL PRIMARY KEY,
    "username" VARCHAR(255) NOT NULL UNIQUE,
    "password_hash" VARCHAR(255) NOT NULL,
    "role" VARCHAR(16) NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT CURRENT_TIMESTAMP
);
COMMENT ON COLUMN "users"."role" IS 'ADMIN: admin\nSTUDENT: student';
COMMENT ON TABLE "users" IS 'An account; the hash is passlib''s, so old `$2a$` ones verify.';
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" SERIAL NOT NULL PRIMARY KEY,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSONB NOT NULL
);
-- By hand from here: Tortoise and aerich have no words for these.
ALTER TABLE users
    ADD CONSTRAINT ck_users_role CHECK (role IN ('admin', 'student')),
    ADD CONSTRAINT ck_users_username CHECK (username <> '');
ALTER TABLE courses
    ADD CONSTRAINT ck_courses_title CHECK (title <> ''),
    ADD CONSTRAINT ck_courses_description CHECK (description <> ''),
    ADD CONSTRAINT ck_courses_difficulty
        CHECK (difficulty IN ('Beginner', 'Intermediate', 'Advanced'));
ALTER TABLE enrollments
    ADD CONSTRAINT ck_enrollments_student_email
        CHECK (student_email <> '' AND student_email = lower(student_email));
ALTER TABLE image_variants
    ADD CONSTRAINT ck_image_variants_size CHECK (width > 0 AND height > 0 AND bytes > 0);
ALTER TABLE tasks
    ADD CONSTRAINT ck_tasks_state
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    ADD CONSTRAINT ck_tasks_progress CHECK (progress BETWEEN 0 AND 100),
    ADD CONSTRAINT ck_tasks_attempts CHECK (attempts >= 0),
    ADD CONSTRAINT ck_tasks_finished CHECK
        ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')));
-- Images are compressed already: a second try costs time and gains nothing.
ALTER TABLE uploads ALTER COLUMN data SET STORAGE EXTERNAL;

INSERT INTO course_totals (difficulty, total)
    VALUES ('Beginner', 0), ('Intermediate', 0), ('Advanced', 0);
CREATE FUNCTION count_changed_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals
    SET total = total + change
    FROM (
        SELECT difficulty, sum(step) AS change
        FROM (
            SELECT difficulty, 1 AS step FROM added
            UNION ALL
            SELECT difficulty, -1 FROM removed
        ) AS steps
        GROUP BY difficulty
    ) AS changes
    WHERE course_totals.difficulty = changes.difficulty AND change <> 0;
    RETURN NULL;
END $$;
CREATE FUNCTION count_added_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals
    SET total = total + change
    FROM (SELECT difficulty, count(*) AS change FROM added GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE FUNCTION count_removed_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals
    SET total = total - change
    FROM (SELECT difficulty, count(*) AS change FROM removed GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE TRIGGER courses_added AFTER INSERT ON courses
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added_courses();
CREATE TRIGGER courses_removed AFTER DELETE ON courses
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed_courses();
CREATE TRIGGER courses_changed AFTER UPDATE ON courses
    REFERENCING NEW TABLE AS added OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_changed_courses();
CREATE FUNCTION forget_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals SET total = 0;
    RETURN NULL;
END $$;
CREATE TRIGGER courses_truncated AFTER TRUNCATE ON courses
    FOR EACH STATEMENT EXECUTE FUNCTION forget_courses();
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP TABLE enrollments, image_variants, uploads, courses, course_totals, tasks, users;
DROP FUNCTION count_added_courses, count_removed_courses, count_changed_courses, forget_courses;
"""


MODELS_STATE = (
    "eJztXXtv2zgS/yqEsUASwBc0bjct0rsDbMdtfZs4d7HTfWWh0BJtcyNRLknF9fXy3W9ISd"
    "bbrzit6tVfscgZcvQbPmaGQ+VLzXEtYovjtutxQWpn6EuNYUf9SNXUUQ1Pp1G5KpB4aGtS"
    "U9PoMjwUkmNTQvEI24JAkUWEyelUUpcp4ibyyY8VueWaQE/ZOFFzy27ZHXXwmBget+8QFQ"
    "ijkcsJHTOELYsTIepISCixEBZoTB8Ie4swQ97UdrEFpZpbMVKG7h4wp5hJcVcHGmvRtsTi"
    "XjcuJwSpB/iBJXLwPQE+WUcek9SGX4qGE2zNtcweo5884HbHBBg5SP77H1BMmUU+Awjw+K"
    "U2osS29O+aCZySWAaWiplaNUVMPk/VSwAkIuQPcaefjQBPg5EZEZpNzqe6sqZ5AWH1cBg1"
    "jc47/XYdUUv/OKo91lFCCIuORtT0bDlXLTxBpKihldJFpHW0vqSSSlsPt/iwWV8+QTA3J4"
    "VC3fS7vfcwXhg69KZTwg/bzf7gUPeJmn30sXnd/tC8PjpSJIbkY8dwpzDUYrQxsYo5sq8V"
    "jThjI7wjvmKgE20foZ8/dK47KFGIun3Uuxqg3s3FRe1RdTW9N7R0iSkPkkGVLjfCrm5uuu"
    "fvNKXSyRAEsz2HRdTTuZy4bEHuedQ6VjyqbkwY4UrvsdWAebYdrBthkT+hoEByjyxmkhUV"
    "WGSEYRyp9v8+8pipwVc9GR5MUHFsus4Uy2NV8vqfgZwxHsOAdzf6nYFhpAfWGVLypBaioM"
    "gEzQDEFBYOhdKj326Eji6tqQ7UCDh8eXqk8XCFHHNdqbGrPWpGLLERDYcI8sVwT6LenmCe"
    "j/qCIQU8iLoN5GFBhHm0bIcAhhA9A6g1B382bMLGcgKPjR9/XIJyMNUOgUoj7cI+4+8/va"
    "Cq4dc96skXIhyXLIPzAGZRPs4ptr1Aewm4g84vA9WyI8QnO47p4WXzFw23Mw9qLq5670Py"
    "mA7aF1etNPSJXSc7wjvMczT6XRATM5NktZBoocxKqLU677u9Xuf6DLUI7AUg0y3r9gad68"
    "vOebc56JyhLpOEO8SiIOwta55/bPbanfMz1LQe1MtbaYNonSlzcrrGjDk5LZwwqiqptIXd"
    "tcmqlGDaSk3BUl+WqZJamF68erPOygRkxUuTrkxinTTEkmCfQ42kDskHPMmZQtwKWI/DH1"
    "91mvTc2eHRM61S3ctOf9C8/HdiqTqH2aVqGollKiw9TA/+RSPo5+7gA1KP6LerXie9ey/o"
    "Br8pc66GPekazJ0Z4IHE0AiLw6KEgr2ptaWCk5yVgkuq4KRdv4n1nGZ8giFdsrVze0tZeS"
    "aj+1xDOekIJVF+54cGfiLzjDWRQjUIagyCZr5LXKPSSESOZwt/Lju0AAB4bSI1BCBFzA8c"
    "YvN+hrllFMBOGHdt2yFKhAzurYD53U/XxMYFpnIAeWfRUHlsticjn1gKwijT03DqKuV99J"
    "vaV6T8KN0TgbrRjewTRGo+ug03Ng8TMzRb5TScdAlmMHysoG/VUyKMO3AltmuFUV6/ur46"
    "1GtIRblmwPeDO0Mg1zyI7gpEsDlBkWeHJljU0T2ZSjScIwxY0PGY8DoSrh+QZS6yqZCAqW"
    "oCUFQBWycbP37OjlYHfQujauX0glfH2v5yPvCSKF04MZLag5cpCNKF9Cld0e9yTQd54c/f"
    "GievXr968/L01Rsg0YIuSl4vUQDoP8+yKzY+nnMZjFkhOatg0kYpXgRTRtE6Z15CehbQHw"
    "g0tbFJ1LEUDtapt4jCShPDvA4LkdSHUib0XUecjDxBgH6ILeSy3JOznbe/4SlX0L9BHEz1"
    "yA82itWHHd4nI4ankWjIiFqpF51+JBjqaMGRPYNJNOb3udkhWFzOoLGVR3Rhn3UU63HVId"
    "hThVsl1TJRqtOh8pwOZWbVuvHYDGOZQ+dbBmVfNl6sse8DVeHGr+uSEdnUzNskYpdirUJ2"
    "JQ3ZVUH3PVdwFXTfcwUnDLl1DZIE0y7tknKEk3YbbTcXWX9PjLRH6YPfJ6wrg+2JYZUItL"
    "eb/XbzvLMszv6crm4ikJzj7KYDzcXurn+eEA9vr/Z4rxhBgv6XIHe0cETBOdVNnalMTXf4"
    "JzGlqlaO6NAz74lEHuiao7t7Mr/LOrm7aTLHr/09Ntxn1ALj8o91Y3uVT/TVfSJfQxnUC2"
    "NxC/oqFhfE4uJb6QSW80mOnVQIZ8RQ4ZmD58jlTp7dWeyqRxx76KPvPj1tOJck5+SwcLwu"
    "6KvhmjNcYVvcZKwG5Hs4UJ8l9bjyUyo/pfJTVvgpOhcrxz8Jc7SK/RKV4bT2AdyUElO7Ds"
    "J2Z2jm8vs6okwQLtVtMebfAeOYCewby0A5UzkB0AcQwCaNqMw7eNtJu/rCGwwnj9ypG2ro"
    "Tq1NWEriTKWAIk5Cr0a984G6jTam6p11k4pDkYyoCj+rTodzTcyJjecqveGWzSYueQBHiD"
    "DdjUCMEEsg6aJ7BnJjpNBHLrPnx+jOJhiGir79Ft2Po1AP7c4m1JwAvW7GQtyd3TKdPDHD"
    "Ak29oU3FBModT0g0JMi0MTBadV9IxD3GVHqFC76cJuFk6nJZR4DDUL3dPWEaFBuWgW3OIa"
    "ecupz6iRL4AVM9bVU8b/UBmh5OhuWR4nOzsPXg0CzeQXjvChYaSdA/0IEP0EHmbC8G7tpC"
    "aZ5isWJNJsXo9tBhKEgdHQToH+TcDySWNyWG2t9XH9cGQEUshYJFNFvKNaJMj6dNNBjyFI"
    "sVazWUK1aUvCyXPkPe/OqkL9Xu7nJqCBXz1rLoFlZKpKmWXt2swiLlCYvovxuY8iH9Htry"
    "J411LusAVbHb2chc1cF8nON2/qt/1cvHN6RPHyJRU6L/6TTD7xDnJbAqJBLnR5kLhOm7gq"
    "kxrhpIXyDUW8Qmo3rBsH930E5frTGoT18VjmlVlUQ3bislAe472LYLQypxvm8bVXnxBHD9"
    "SMrLxuvTRRBFPSyLn/QvmxcX2SBK0hJad6gmufZvvD5LRGVh+2yTRr1g/sZ7nm/4ZoGu/e"
    "emc6OSoX2CW3Z90+t1e+/PQrfplvVv2u1O51wRCc80wYdTdO+a3QtVNAJ3RD23VVL1hS4y"
    "FRLKLUy7rt8meuuLY3ACrygkyTETW64L7gwriI3lsKeUOQT+r6nN/IDDLnbU1tXVRWJHbX"
    "XTd+5vLlsd0IBWABBRP6CTXaGm3FXbbI4Bs2qlj/iqlR6MuiAks8H5Q5zle4dwZ8cO8fDW"
    "Blim2bbCs2yb5o6hTQS9MtAuT39L81YJcCVNgFvEWbdQcpp3B0ou2ZTaJ03Ho8UbKjrFWu"
    "m5zHomnLs8q+Hi71MtGPbBc1ymyef4MJU6LSTq+HITxBNMFeqbox64bbn5EMVxkiTXPuD+"
    "FaLVeqyqpAAJw3kTtDOM+wf4jyeNNQAHqkLAdV31Ja+/1AYtJObbKTjJWZlhZdZyPN9gQz"
    "WnWCs9l03PJfkERfDdopyMt+iLRsU5b7FPJ63OeutLJQLSKdBnyPK4agXNJsRPS/Pb0l9X"
    "Z2JGuErT8tMCrYgovPajMneYlc2Ae6Y+nvC9nSr55Ksnn6iKnKMcyjCfF5x+Bhzp05swW3"
    "9/EiNaQa7DYlkEM7LV7TWvf833pVo5uRGtXwedZmVx7v8eVd0eqG4PVLcHNrGmhDYOsraU"
    "Kl9uSQHFurcHGMKm/iLgW22vTLCYKJNmioWw6fBA6E8IuraF7n5o4B/uVHq7QA+E09E858"
    "7AU1urbKOyrTHLbCM1zjZNzo3zlPdzj2VKDFOTZ+bCaqJm0yZQZxj3MCH6WRDnbtE/rlmd"
    "iRfylhnrWvP8sts7Q9hyKLtl/cHNeac3OAu/tJhe1r9RPl3lBOyfE1CSQFUTLA5zkmdcBT"
    "VLzSsc0ayyr4oVu2NLpzCxLNfQyUknCzbN8m60O0kmK7ZlwAgVuf9Hq3h/jbGUebUv086q"
    "JtUGCAfke4juyYt1vvAJVMU75ovMFz712TbL2S+L73LFWKrrXBte5/qmm9nj/wH8u0ZF"
)
