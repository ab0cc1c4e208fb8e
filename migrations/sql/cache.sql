-- A statement that changes what a course shows enqueues the task that announces it (docs/cache.md).
CREATE FUNCTION refresh_cache() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks (id, name, args, dedupe_key)
    SELECT gen_random_uuid(), 'cache.refresh', jsonb_build_object('courses', jsonb_agg(id)),
        'cache.refresh:' || pg_current_xact_id() || ':' || md5(string_agg(id::text, ',' ORDER BY id))
    FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / 1000 AS part FROM changed) AS parts
    GROUP BY part
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('tasks', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER courses_added_refresh AFTER INSERT ON courses
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_cache();
CREATE TRIGGER courses_changed_refresh AFTER UPDATE ON courses
    REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_cache();
CREATE TRIGGER courses_removed_refresh AFTER DELETE ON courses
    REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION refresh_cache();

-- A course shows whether its image's task is at work or was given up.
CREATE FUNCTION refresh_cache_of_image() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO tasks (id, name, args, dedupe_key)
    SELECT gen_random_uuid(), 'cache.refresh', jsonb_build_object('courses', jsonb_build_array(id)),
        'cache.refresh:' || pg_current_xact_id() || ':' || md5(id::text)
    FROM courses WHERE image_task_id = NEW.id
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('tasks', '');
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER tasks_image_refresh AFTER UPDATE OF state ON tasks
    FOR EACH ROW
    WHEN (NEW.name = 'images.process'
        AND (OLD.state IN ('queued', 'running')) <> (NEW.state IN ('queued', 'running')))
    EXECUTE FUNCTION refresh_cache_of_image();
