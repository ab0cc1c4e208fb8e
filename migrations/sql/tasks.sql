-- The CHECK constraints: Tortoise and aerich have no words for them.
ALTER TABLE tasks
    ADD CONSTRAINT ck_tasks_state
        CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
    ADD CONSTRAINT ck_tasks_progress CHECK (progress BETWEEN 0 AND 100),
    ADD CONSTRAINT ck_tasks_attempts CHECK (attempts >= 0),
    ADD CONSTRAINT ck_tasks_finished CHECK
        ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')));
-- Each task leaves three dead rows: the table is vacuumed by count rather than by share,
-- and its pages keep room for the next version of a row.
ALTER TABLE tasks SET (
    fillfactor = 80,
    autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000, autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_analyze_threshold = 2000, autovacuum_analyze_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0);
