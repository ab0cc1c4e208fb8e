-- What release 1.0 has and the last migration of the 0.x releases has not: infra.db.migrations
-- applies it to a database of theirs, in place of the initial migration.
ALTER TABLE kept_answers RENAME TO idempotent_responses;
ALTER TABLE idempotent_responses RENAME CONSTRAINT kept_answers_pkey TO idempotent_responses_pkey;
ALTER TABLE idempotent_responses
    RENAME CONSTRAINT ck_kept_answers_digest TO ck_idempotent_responses_digest;
ALTER INDEX ix_kept_answers_created RENAME TO ix_idempotent_responses_created;
ALTER TABLE tasks DROP COLUMN trace_context;

-- Changes are read from the database: nothing announces them to the cache.
DROP TRIGGER tasks_image_refresh ON tasks;
DROP TRIGGER courses_added_refresh ON courses;
DROP TRIGGER courses_changed_refresh ON courses;
DROP TRIGGER courses_removed_refresh ON courses;
DROP FUNCTION refresh_cache_of_image();
DROP FUNCTION refresh_cache();
DELETE FROM tasks WHERE name = 'cache.refresh';
