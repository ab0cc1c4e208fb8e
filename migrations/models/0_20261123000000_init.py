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
COMMENT ON TABLE "course_totals" IS 'How many courses of a difficulty there are.';
CREATE TABLE IF NOT EXISTS "enrollment_totals" (
    "slot" INT NOT NULL PRIMARY KEY,
    "enrollments" BIGINT NOT NULL,
    "students" BIGINT NOT NULL
);
COMMENT ON TABLE "enrollment_totals" IS 'What one slot has seen come and go; the totals are the sums of all slots.';
CREATE TABLE IF NOT EXISTS "students" (
    "email" VARCHAR(320) NOT NULL PRIMARY KEY,
    "enrollment_count" INT NOT NULL
);
COMMENT ON TABLE "students" IS 'Whoever is in at least one course.';
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
    "worker" VARCHAR(255),
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
CREATE INDEX IF NOT EXISTS "ix_courses_title" ON "courses" (title, id);
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

-- Totals: see models/totals.py.
INSERT INTO course_totals (difficulty, total)
    VALUES ('Beginner', 0), ('Intermediate', 0), ('Advanced', 0);
INSERT INTO enrollment_totals (slot, enrollments, students)
    SELECT slot, 0, 0 FROM generate_series(0, 63) AS slot;

CREATE FUNCTION count_added_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals SET total = total + change
    FROM (SELECT difficulty, count(*) AS change FROM added GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE FUNCTION count_removed_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals SET total = total - change
    FROM (SELECT difficulty, count(*) AS change FROM removed GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE FUNCTION count_changed_courses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE course_totals SET total = total + change
    FROM (
        SELECT difficulty, sum(step) AS change
        FROM (
            SELECT difficulty, 1 AS step FROM added UNION ALL SELECT difficulty, -1 FROM removed
        ) AS steps
        GROUP BY difficulty HAVING sum(step) <> 0
    ) AS changes
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

CREATE FUNCTION count_added_enrollments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- In the order of their emails, as below: two statements can't wait for each other.
    WITH counted AS (
        INSERT INTO students AS known (email, enrollment_count)
        SELECT student_email, count(*) FROM added GROUP BY student_email ORDER BY student_email
        ON CONFLICT (email) DO UPDATE
            SET enrollment_count = known.enrollment_count + excluded.enrollment_count
        RETURNING xmax = 0 AS is_new
    )
    UPDATE enrollment_totals
    SET enrollments = enrollments + (SELECT count(*) FROM added),
        students = students + (SELECT count(*) FROM counted WHERE is_new)
    WHERE slot = pg_backend_pid() % 64;
    RETURN NULL;
END $$;
CREATE FUNCTION count_removed_enrollments() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM students WHERE email IN (SELECT student_email FROM removed)
        ORDER BY email FOR UPDATE;
    UPDATE students SET enrollment_count = enrollment_count - lost
    FROM (SELECT student_email, count(*) AS lost FROM removed GROUP BY student_email) AS losses
    WHERE email = student_email;
    WITH emptied AS (
        DELETE FROM students
        WHERE email IN (SELECT student_email FROM removed) AND enrollment_count = 0
        RETURNING 1
    )
    UPDATE enrollment_totals
    SET enrollments = enrollments - (SELECT count(*) FROM removed),
        students = students - (SELECT count(*) FROM emptied)
    WHERE slot = pg_backend_pid() % 64;
    RETURN NULL;
END $$;
CREATE TRIGGER enrollments_added AFTER INSERT ON enrollments
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION count_added_enrollments();
CREATE TRIGGER enrollments_removed AFTER DELETE ON enrollments
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION count_removed_enrollments();

-- A total would go on counting what TRUNCATE took away.
CREATE FUNCTION refuse_truncate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'use DELETE: TRUNCATE of % would leave its totals wrong', TG_TABLE_NAME;
END $$;
CREATE TRIGGER courses_truncated BEFORE TRUNCATE ON courses
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
CREATE TRIGGER enrollments_truncated BEFORE TRUNCATE ON enrollments
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();
"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
DROP TABLE enrollments, students, enrollment_totals, image_variants, uploads, courses,
    course_totals, tasks, users;
DROP FUNCTION count_added_courses, count_removed_courses, count_changed_courses,
    count_added_enrollments, count_removed_enrollments, refuse_truncate;
"""


MODELS_STATE = (
    "eJztXf9z2joS/1c0zJtJOsNlUpImvfTuZiChLfcSchdI+77kjSOwAF+MTC25lOv1f79d2c"
    "bfwQ4kdXn+KSDtSstH0mp3tVK+1qaWzkxxcG45tmC1M/K1xukUP8Rq6qRGZ7OgHAskHZiK"
    "dKhoVBkdCGnToYTiETUFgyKdiaFtzKRhcSRuEpf8AMl1awj0Bh9Hau74Hb83pnTMNMc274"
    "khCCUjy2bGmBOq6zYTok6EhBKdUEHGxmfG3xDKiTMzLapDqeJGRoOT+8/UNiiX4r4ONPqy"
    "bUnFg2pcThjBL/CBSjKlDwz4ZJ04XBomfEIam1F9oWR2uPHJAW5rzIDRBsl//wOKDa6zLw"
    "ACfP1aGxnM1NXn2hA4JdM1KpHZ0GtIzL7M8EcAJMLn93E3vmgenhpncyYUm1zMVGVN8QLC"
    "+GU/aJpctHvndWLo6sOL2rc6iQihG6ORMXRMucAWNhApaGitdAFpneSXVBrSZIXFWnKli6"
    "KqsdMV/YWnaf6OBaP2cJLZ822v030H85OTfWc2Y/b+ebPXd8UhzR750Lw5f9+8efECSTRp"
    "j6eaNYOpHaINiZXNkfxZwQzXCgEZ8GWjGWn7Bfn4vn3TJpFC0umR7nWfdG8vL2vfsKvZg6"
    "aki6gYkAyqVLnmd3V727l4qyhxTAYgmOlMeUA9W8iJxZfkjmPoB8iDdWPGmY3zLKR9uGOa"
    "np7yi9wFDAXSdthy5epBgc5GFOYttv+3kcOHCnzsSXNAIYiDoTWdUXmAJaf/8OQM8Wga/H"
    "at1+5rWnxinRGUJ6b4vKIhjAxAbICiQpS+ue0G6KjSGnaAM2D/6OSFwsMScmyrSoVd7Zti"
    "pJJqwXQIIF9O9yjq5xNqp6O+ZIgBD6I+BnK/IMA82CZ8AH2IngDU2pR+0UzGx3ICXxuvXq"
    "1A2Vtq+0ClkLZgX3P3u65X1XDrvqnF5yMcliyBcx9WUTrOMbadQHsFuP32L31seSrEJzOM"
    "6f5V8xcF93Th1Vxed9/55KExOL+8bsWhj+xyyRne5s5Uod8BMSkfsuQoRFoo8yDUWu13nW"
    "63fXNGWgz2ApDpjne6/fbNVfui0+y3z0iHS2ZPmW6AsHe8efGh2T1vX5yRpv4Zf7weN8Dy"
    "LJmXJzlWzMuTzAWDVdFBW9p5RbRShOlRw+Sp+rIslZhiOjx+nUczAVm2alKVUayjhl8U7A"
    "uokcaUpQMe5YwhrnusB/6HZ10mXWu+/+KJtFTnqt3rN6/+FVFVF7C6sKYRUVN+6X588i8b"
    "IR87/fcEv5Lfrrvt+O69pOv/huZcjTrS0rg118DjCaHhF/tFkQF2ZvojBzjKWQ1wSQc4at"
    "cXsZ7jjBsY0iXTnY+3lNEzGT2kGspRRyiK8ls3FPEzWySsiRiqXhCl7zXzQ+IalAYi2nS+"
    "9OeSUwsAgJ/NpIIApAj5gQM6fJhTW9cyYGfctkxzylCEBO4tj/ntzzfMpBmmsgd5e9lQeW"
    "y2jZGPqAI/qrUZTh0cvA9uU7uKlBsV3BCoW9XILkGE69FqWKF1GFmhyappYxovoRymj+71"
    "jT1FwsZ9S1KzlhlVdqvr60PLmkTKnAHm99acgFwLL5osiDUilASeHYZ7bUaonRKCLsi7Ph"
    "ScGfsqp6+6PiL2p/NUV8TS/OkbHT34MRmhNJ8+NlbGD6l5QV7485fGy+PT49dHJ8evgUQJ"
    "uiw5XTEAMP5p9le2ifCUyipkK6Toqqglka2qYqZLnpMwIR0d6PcEmZl0yPCwinqq5w0xpC"
    "AhzOuEW1IdVQ2h7zqx2cgRoIrIgOrE4qnnaVtvv+DZl9e/xqbUUDPfU+frjyScT1oITy3S"
    "kBa0Us86o4gw1MmSI3lSEmnM7bPY0VhYTq+xtQd3fp91Eupx3dHYpsKtk2qVKNUZTnnOcB"
    "KrKm/UNMFY5gD3I0OnR43DHPs+UGVu/KouGjeNrbwicbUYaxVYK2lgrQqN7/gAV6HxHR/g"
    "iCGX1yCJMG3TLilH0Ge7MfHhMhdww3h4kFT4Y8K6NiQemVaRcPh5s3fevGivioY/j6ubGZ"
    "uLk9TzOb2FYnQfMdESnEoiTHA6J1QQwRgHN23KMEWTjK03blamahPjbeqrcKZuSM40FadI"
    "Or1bbXmD+B42UiA25JNvJzT0FGG8Zw0M1Ve4P6uPiIxxJsYxxl2Kwv210Tg6Om0cHp28fn"
    "V8evrq9eES9WTVKvhbnXc4ApFN3B+ShAdaEP8wVwV+IfBLEiiNHBambB3xw8TsfcM9Mw4f"
    "Ya7fNK5Rqxv/Ze6hjLvF7gk38/gMs/+twX/YUGI1qvSBM3xgkjgwN2xy/8AW98ndYjtNpm"
    "wTv4eMpbmhy0ntj7w7RxVRe/aImjtC+XfrJf0uqbENN+wAzQk4A5Mixk/AUOGZgufIsqdp"
    "UYvsQG/AsYMR3u2nIA8WkqXYMpnzdUlfTdeU6QrbYpG56pHv4ER9kuslVZSrinJVUa41fk"
    "rP9TRrKS6KX1Vf5Z2EPdU8wSyLfQaHwL1tTCUxGRVuECrrqnM+lg3CT4XPhrd8Jvx9I1BP"
    "dSKcJyiFOSC8iPWbxloZFuUKfKgE/hRt4if2Z6sSTIvPnQ82M9hQxSKEac3J3LIf6qAfBL"
    "MlPmnA3cC1TbmgrvcNlHOMd0MfQABWPzFkWh7YVtpVrzLAxHLYvYqk3+Mqo1Ky6UyKexVJ"
    "98Ik+Jv38MmEsYG/WTWJHEgyMjAbAjsdqGxaoDLpok6EdcfnnlZkXHUjCGdMF0Ra5IGD3J"
    "Qg+qAkzcUBuUeNyTT1REPwiIMB9dDufGIMJ0CvmtGJbc3vuHrbYU4FmTkD0xATKJ86oHMH"
    "oHJNCox63RWS2A7nAJ3SxorEZjPLlnUCOAzw1z0wrkAxwa54TFrczDYs23Dzduln0Ls4Wf"
    "B4eX0+l5pOmu6seOzAb93L4Qp34F/WB8tFMvJ3sucCtJdINQuBm1soxZMtVqjJqBidLtn3"
    "BamTPQ/9vZRHLJjuzJiGDsP67EEPqIAlU7CA5pFyjQyu5lOREfR5ssUKterLFSqKvrAQT2"
    "ks/r6HK9X2HhxRECLzo2VRLayVSFGtfF+kirOWJ86q/hYwSn36HQwOvGzkueENVNlxrEbi"
    "fje1xylxrH/2rrvp+Pr08ZwmYyjJ/wjskj+i2bkCVkQCW85+dSL+wERsjmMD8Vcn1BZRZF"
    "YvGXbv4YKT4xyT+uQ4c05jVRTdsK0UBbg3paaZ6VWF+b6vN3W4sQd11Dg9WTpP+GWV39S7"
    "al5eJqOyUUso71SNcu3efH2SEO3S9kmivP5W35L5O+95ruGbBLr279v2Ld7Ncwnu+M1tt9"
    "vpvjvz3aY73rs9P2+3L5BIOMMh+HBI97bZucSiEbgj+P0c7/hdqqIhIoFuYdx1/T7HQa44"
    "ms3gJwrJUszElmWBO8Mzgu0p7LHBHAD/c45mesBhGztq6/r6MrKjtjrxh5pur1ptGAE1AE"
    "BkuBHipIaa2RZusykGzDpNH/BVmh6MOi8kUyAEGWb50SHc2jlmOLxVAMs426PwLNumuWVo"
    "I0GvBLSrb2PEeav7GCW9j7GMsz5ikOO8Wxjkki2pXRrpcLS44EDHWKtxLvM448ERs4v4jw"
    "FH5Tvm8h2ZbVspCGe/G7tk2AWAVy2Wp3gwFg9kGZ4QF0E8wlShXhx1zzNOzWHLViVRrl3A"
    "/RkOBNRcxUQuCdO5CNoJxt0D/NXLRg7AgSoTcFVXvbD7p7KBhKT24wY4yllZumUe5XBKR8"
    "FhjrFW41y2cS5JSqH3nmhKUmHw0mh2WmHoSdP1iYU9iSIQdW3ljOiOja2Q+YS5mX9uW+q/"
    "LHExZzZmwrmp3HpA5F/VxOQorieTDJ+ojw1SoKv8nmfP78GKlNMyg1N7kXHA7HHED8j8G1"
    "a7k3vS8tJJlmoRzMhWp9u8+TXdl2qlpJ+0fu23m5XFuft7VHXjq7rxVd34KmJNCWUcJG0p"
    "4YafV1hSQJH3ggYndKju6LhvCE2omKBJM6NCmMZgD/8ppUUsUyf3PzXoT/d4g0CQz8w2Ro"
    "uUaxmbtlbZRmXTMatsI5xnRfOfwzw7dy/vSc5PcPHMLdAmuJqKQJ1g3MGc8ydB3Lay/qHk"
    "+mRHn7fMWNeaF1ed7hmh+tTgd7zXv71od/tn/tvqcbX+nVIWKydg95yAkgSqmmBxDCdpxp"
    "VXs9K8ogHNOvsqe2C3bOlk5u6lGjopGXveplnejfaJn2AEI1Sk/n/b7P01xFJmbV+mnRUX"
    "VQGEPfIdRPflYZ4XHIAqe8c8TLzpr8620x5qyL4uF2KpbswVvDH3XTezb/8HgH8ZZg=="
)
