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
    "eJztXf9z2joS/1c0zJtJOsNlUpImvfTuZiChLfcSchdI+77kjSNsAb4YmVpyKdfr/367so"
    "2/Aw4kdXn+KSDtSstH0mp3tVK+1ia2wSxxcG67jmC1M/K1xukEPyRq6qRGp9OwHAskHViK"
    "VFc0qowOhHSoLqF4SC3BoMhgQnfMqTRtjsRN4pEfILlh60Bv8lGs5o7f8XtzQkdMcx3rnp"
    "iCUDK0HWaOOKGG4TAh6kRIKDEIFWRkfmb8DaGcuFPLpgaUKm5kNDm5/0wdk3Ip7utAYyza"
    "llQ8qMblmBH8Ah+oJBP6wIBP1onLpWnBJ6RxGDXmSmaXm59c4LZHDBgdkPz3P6DY5Ab7Ai"
    "DA16+1ocksQ32u6cApmaFRicymUUNi9mWKPwIgEQF/gLv5RfPx1DibMaHY5HyqKmuKFxDG"
    "L/th0+Si3TuvE9NQH17UvtVJTAjDHA5N3bXkHFvYQKSwoZXShaR1sr6k0pQWKyzWgitbFF"
    "WNnS7pLzpN1+9YMOro49yeb3ud7juYn5zsu9Mpc/bPm72+Jw5p9siH5s35++bNixdIokln"
    "NNHsKUztCG1ErHyO9M8KZ7hWCMiQLx/NWNsvyMf37Zs2iRWSTo90r/uke3t5WfuGXU0fNC"
    "VdTMWAZFClyrWgq9vbzsVbRYljMgDBLHfCQ+rpXI5tviB3XdM4QB6sGzHOHJxnEe3DXcvy"
    "9VRQ5C1gKJCOyxYr1wgLDDakMG+x/b8NXa4r8LEnzQWFIA50ezKl8gBLTv/hyxnh0TT47V"
    "qv3de05MQ6IyhPQvH5RTqMDEBsgqJClL557YboqNIadoAzYP/o5IXCwxZy5KhKhV3tm2Kk"
    "kmrhdAghX0z3OOrnY+pko75gSAAPoj4G8qAgxDzcJgIAA4ieANTahH7RLMZHcgxfG69eLU"
    "HZX2r7QKWQtmFf8/a7rl/V8Oq+qcUXIByVLIVzH1ZRNs4Jtp1Aewm4/fYvfWx5IsQnK4rp"
    "/lXzFwX3ZO7XXF533wXkkTE4v7xuJaGP7XLpGd7m7kSh3wExKddZehRiLZR5EGqt9rtOt9"
    "u+OSMtBnsByHTHO91+++aqfdFp9ttnpMMlcybMMEHYO968+NDsnrcvzkjT+Iw/3kgaYOss"
    "mZcna6yYlye5Cwar4oO2sPOKaKUY06OGyVf1ZVkqCcV0ePx6Hc0EZPmqSVXGsY4bfnGwL6"
    "BGmhOWDXicM4G44bMeBB+edZl07dn+iyfSUp2rdq/fvPpXTFVdwOrCmkZMTQWl+8nJv2iE"
    "fOz03xP8Sn677raTu/eCrv8bmnM16kpb4/ZMA48ngkZQHBTFBtidGo8c4DhnNcAlHeC4XV"
    "/Eek4ybmBIl0x3Pt5SRs9k+JBpKMcdoTjKb71QxM9snrImEqj6QZS+38wPiWtYGoro0NnC"
    "n0tPLQAAfjaTCgKQIuIHDqj+MKOOoeXAzrhjW9aEoQgp3Fs+89ufb5hFc0xlH/L2oqHy2G"
    "wbIx9TBUFUazOcOjh4H7ymdhUpLyq4IVC3qpFdggjXo92wI+swtkLTVZPGJFlCOUwfw+8b"
    "e4qFjfu2pFYtN6rsVddXh5Y1iZRrBpjf2zMCcs39aLIg9pBQEnp2GO51GKFORgi6IO/qUH"
    "Bu7KucvurqiNifzlNdEksLpm989ODH5ITSAvrEWJk/pOYFeeHPXxovj0+PXx+dHL8GEiXo"
    "ouR0yQDA+GfZX/kmwlMqq4itkKGr4pZEvqpKmC7rnIQJ6RpAvyfI1KI6w8Mq6queN8SUgk"
    "QwrxNuS3VUpUPfdeKwoStAFZEBNYjNM8/Ttt5+wbMvv3+NTaipZr6vzlcfSbiftAieWqwh"
    "LWylnndGEWOokwVH+qQk1pjXZ7GjsaicfmMrD+6CPusk0uOqo7FNhVsl1TJRqjOc8pzhpF"
    "bVulHTFGOZA9yPDJ0eNQ7X2PeBKnfjV3XxuGli5RWJqyVYq8BaSQNrVWh8xwe4Co3v+ADH"
    "DLl1DZIY0zbtknIEfbYbE9cXuYAbxsPDpMIfE9aVIfHYtIqFw8+bvfPmRXtZNPx5XN3c2F"
    "ySpL6e01soRvcREy3BqSTCAqdzTAURjHFw0yYMUzTJyH7jZWWqNjHepr4Kd+KF5CxLcYq0"
    "07vVljeI72EjBWJDAfl2QkNPEcZ71sBQfYn7s/yIyBzlYpxg3KUo3F8bjaOj08bh0cnrV8"
    "enp69eHy5QT1ctg7/VeYcjENvEgyFJeaAF8Y9yVeAXAr8kgdLYYWHG1pE8TMzfN7wz4+gR"
    "5upN4xq1uvlf5h3KeFvsnvAyj88w+98e/IfpEqtRpQ9c/YFJ4sLccMj9A5vfp3eL7TSZsU"
    "38HjGWZqYhx7U/1t05qojas0fUvBFaf7de0O+SGttwww7RHIMzMC5i/IQMFZ4ZeA5tZ5IV"
    "tcgP9IYcOxjh3X4K8mAuWYYtkztfF/TVdM2YrrAtFpmrPvkOTtQnuV5SRbmqKFcV5Vrhp/"
    "Q8T7OW4aIEVfVl3knUU10nmGWzz+AQeLeNqSQWo8ILQuVddV6PZYPwU+Gz4S2fCX/fCNRT"
    "nQivE5TCHBBexPrNYq0Mi3IFPlQCf4Y2CRL781UJpsWvnQ82NZmuYhHCsmdkZjsPddAPgj"
    "kSnzTgXuDaoVxQz/sGyhnGu6EPIACrn5gyKw9sK+2qVxlgYrnsXkXS73GVUSnZZCrFvYqk"
    "+2ES/M17+GTCyMTfrJpEDiQZmpgNgZ0OVDYtUFl0XifCvuMzXysyrroRhDNmCCJt8sBBbk"
    "oQfVCS1vyA3KPGZJp6oiF8xMGEemh3Njb1MdCrZgzi2LM7rt52mFFBpu7AMsUYyicu6NwB"
    "qFyLAqNR94Qkjss5QKe0sSJx2NR2ZJ0ADgP8dQ+MK1AssCsekxY3dUzbMb28XfoZ9C5OFj"
    "xeXp3PpaaTZrhLHjsIWvdzuKIdBJf1wXKRjPyd7HkA7aVSzSLgri2U4skXK9JkXIxOl+wH"
    "gtTJno/+XsYjFsxwp0xDh2F19qAPVMiSK1hI80i5hiZX86nICAY8+WJFWg3kihTFX1hIpj"
    "QWf9/Dk2p7D44oCJH50bKoFlZKpKiWvi9SxVnLE2dVfwsYpQH9DgYHXjbWueENVPlxrEbq"
    "fjd1RhlxrH/2rrvZ+Ab0yZwmU5fkfwR2yR/R7FwCKyKBLee/OpF8YCIxx7GB5KsTaosoMq"
    "sXDLv3cMHJ8RqT+uQ4d05jVRzdqK0UB7g3oZaV61VF+b6vN3W4sQd11Dg9WThP+GWZ39S7"
    "al5epqOycUto3aka59q9+fokIdqF7ZNGefWtvgXzd97zPMM3DXTt37ftW7yb5xHc8Zvbbr"
    "fTfXcWuE13vHd7ft5uXyCRcHUdfDike9vsXGLRENwR/H6Od/wuVZGOSKBbmHRdv89xkCeO"
    "5jD4iUKyDDOxZdvgzvCcYHsGe2IwB8D/nKOZHXDYxo7aur6+jO2orU7yoabbq1YbRkANAB"
    "CZXoQ4raGmjo3bbIYBs0rTh3yVpgejzg/JFAhBRll+dAi3do4ZDW8VwDLJ9ig8y7Zpbhna"
    "WNArBe3y2xhJ3uo+RknvYyzirI8Y5CTvFga5ZEtql0Y6Gi0uONAJ1mqcyzzOzHFsJz3C+Y"
    "+aLhh2wXNcNpJP8ZopnhYyPL4sgniMqUK9OOq+25aZYJUfJ4lz7QLuzxCtVnMVs4wkTOci"
    "aKcYdw/wVy8bawAOVLmAq7rq+dc/1QYtJHUeN8BxzsoMK/MoR/MNCg5zgrUa57KNc0ny3f"
    "zHLjMy3sJnMPNz3iLvba7OeutJFIGoOxVnxHAdbIXMxsxLS/PaUv8CiIsZczBNy8szNkKi"
    "4B4hZu5wI50B90R9bJCfWyWfPHvyCVZkHOWYnDrznNNPnyN5ehNc/9mdxIiWn+uwUItgRr"
    "Y63ebNr9m+VCsjN6L1a7/drCzO3d+jqutI1XWk6jpSEWtKKOMgbUth+XJLCijWvT3ACdXV"
    "BRLvgZsxFWM0aaZUCMsc7OF/TLSJbRnk/qcG/eke09sF+cwcczjPuDOwaWuVbVQ2HbPMNs"
    "J5VjQ5N8qzc5fGniQxDBfPzAZtgqupCNQpxh1MiH4SxB07778drs7EC3jLjHWteXHV6Z4R"
    "akxMfsd7/duLdrd/Fjz8nVTr3ymfrnICds8JKEmgqgkWhz7OMq78mqXmFQ1pVtlX+QO7ZU"
    "snN7Es09DJSCfzN83ybrRP/D4gGKEi85+v5u+vEZYya/sy7ay4qAog7JPvILovD9d5XgCo"
    "8nfMw9SD8+psO+sVgfy7XBGW6jpXwetc33Uz+/Z/GqyowA=="
)
