-- The version of all feature flags: one row. Versions are microseconds, so that a server that was
-- restored gives none of its versions again.
CREATE TABLE feature_flag_state (
    id boolean PRIMARY KEY DEFAULT true CONSTRAINT ck_feature_flag_state_id CHECK (id),
    version bigint NOT NULL
);
INSERT INTO feature_flag_state (version)
VALUES ((extract(epoch FROM clock_timestamp()) * 1000000)::bigint);

-- What the engine needs of a definition; the code checks the rest.
ALTER TABLE feature_flags
    ADD CONSTRAINT ck_feature_flags_name CHECK (name <> ''),
    ADD CONSTRAINT ck_feature_flags_definition CHECK (jsonb_typeof(definition) = 'object'
        AND coalesce(jsonb_typeof(definition->'enabled') = 'boolean', false)
        AND coalesce(jsonb_typeof(definition->'strategies') = 'array', false));

-- A trigger, so that an operator's SQL takes effect, too. The row of the version stays locked until
-- the commit, so the order of versions is the order of commits.
CREATE FUNCTION note_feature_flag() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    current bigint;
BEGIN
    UPDATE feature_flag_state
    SET version = greatest(version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    RETURNING version INTO current;
    PERFORM pg_notify('feature_flags', '');
    IF TG_OP IN ('DELETE', 'TRUNCATE') THEN
        RETURN OLD;
    END IF;
    NEW.version := current;
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER feature_flags_noted BEFORE INSERT OR UPDATE OR DELETE ON feature_flags
    FOR EACH ROW EXECUTE FUNCTION note_feature_flag();
CREATE TRIGGER feature_flags_truncated AFTER TRUNCATE ON feature_flags
    FOR EACH STATEMENT EXECUTE FUNCTION note_feature_flag();
