-- The version of all that the catalogue shows: one row. Versions are microseconds, so that a server
-- that lost its latest transactions, or was restored, gives none of their versions again.
CREATE TABLE catalogue_version (
    id boolean PRIMARY KEY DEFAULT true CONSTRAINT ck_catalogue_version_id CHECK (id),
    version bigint NOT NULL
);
INSERT INTO catalogue_version (version)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- Which courses a version changed, and the version before it. A change that is `listed` can move
-- courses in lists and searches; any other changes only how the course itself looks.
CREATE TABLE catalogue_changes (
    version bigint NOT NULL,
    previous bigint NOT NULL,
    course_id uuid NOT NULL,
    listed boolean NOT NULL,
    PRIMARY KEY (version, course_id)
);

-- Called at the end of the transaction, so that the row of the version is locked for its commit
-- only, and the order of versions is the order of commits. One version a transaction.
CREATE FUNCTION note_catalogue_change(changed uuid, is_listed boolean) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    noted text := nullif(current_setting('catalogue.version', true), '');
    before bigint := nullif(current_setting('catalogue.previous', true), '');
    mine bigint := noted;
    counted int := coalesce(nullif(current_setting('catalogue.count', true), ''), '0');
    is_new boolean;
BEGIN
    -- As many as a process reads at once: more would tell it nothing (infra.db.history).
    IF counted >= 5000 THEN
        RETURN;
    END IF;
    IF noted IS NULL THEN
        SELECT version INTO before FROM catalogue_version FOR UPDATE;
        mine := greatest(before + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
        UPDATE catalogue_version SET version = mine;
        PERFORM set_config('catalogue.version', mine::text, true),
                set_config('catalogue.previous', before::text, true),
                pg_notify('catalogue', '');
    END IF;
    INSERT INTO catalogue_changes AS known (version, previous, course_id, listed)
    VALUES (mine, before, changed, is_listed)
    ON CONFLICT (version, course_id) DO UPDATE SET listed = true
    WHERE excluded.listed AND NOT known.listed
    RETURNING xmax = 0 INTO is_new;
    IF is_new THEN
        PERFORM set_config('catalogue.count', (counted + 1)::text, true);
    END IF;
END $$;

CREATE FUNCTION note_course() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_catalogue_change(coalesce(NEW.id, OLD.id), TG_OP <> 'UPDATE' OR
        (NEW.title, NEW.description, NEW.difficulty, NEW.created_at)
        IS DISTINCT FROM (OLD.title, OLD.description, OLD.difficulty, OLD.created_at));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER courses_noted AFTER INSERT OR UPDATE OR DELETE ON courses
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_course();

CREATE FUNCTION note_image_variant() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_catalogue_change(coalesce(NEW.course_id, OLD.course_id), false);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER image_variants_noted AFTER INSERT OR UPDATE OR DELETE ON image_variants
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note_image_variant();

-- A course shows whether its image's task is at work or has failed.
CREATE FUNCTION note_image_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM note_catalogue_change(id, false) FROM courses WHERE image_task_id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER tasks_image_noted AFTER UPDATE OF state ON tasks
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (NEW.name = 'images.process'
        AND (OLD.state IN ('queued', 'running')) <> (NEW.state IN ('queued', 'running')))
    EXECUTE FUNCTION note_image_task();

-- TRUNCATE fires no row trigger.
CREATE TRIGGER image_variants_truncated BEFORE TRUNCATE ON image_variants
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_truncate();

-- What the running transaction changes. It must be the last that the transaction does.
CREATE FUNCTION catalogue_changes_now() RETURNS SETOF catalogue_changes LANGUAGE plpgsql AS $$
BEGIN
    SET CONSTRAINTS courses_noted, image_variants_noted, tasks_image_noted IMMEDIATE;
    RETURN QUERY SELECT * FROM catalogue_changes
    WHERE version = nullif(current_setting('catalogue.version', true), '')::bigint;
END $$;
