-- Sessions: a revocation is notified, and no session disappears while its tokens are valid.
CREATE FUNCTION notify_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('revocations', NEW.id::text);
    RETURN NULL;
END $$;
CREATE TRIGGER sessions_revoked AFTER UPDATE OF revoked_at ON sessions
    FOR EACH ROW WHEN (OLD.revoked_at IS NULL AND NEW.revoked_at IS NOT NULL)
    EXECUTE FUNCTION notify_revoked();

-- A trigger, so that an operator's SQL ends the sessions too.
CREATE FUNCTION end_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE sessions SET revoked_at = clock_timestamp()
    WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE TRIGGER users_end_sessions AFTER UPDATE OF role, disabled_at ON users
    FOR EACH ROW WHEN (NEW.role <> OLD.role
        OR (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL))
    EXECUTE FUNCTION end_sessions();

CREATE FUNCTION keep_session() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a token of session % is good until %', OLD.id, OLD.tokens_until
        USING ERRCODE = 'restrict_violation',
            HINT = 'Disable the user (`enroll users disable`), which ends all sessions at once; '
                'delete when the last token is over.';
END $$;
CREATE TRIGGER sessions_stay BEFORE DELETE ON sessions
    FOR EACH ROW WHEN (OLD.tokens_until > now() - interval '1 minute')
    EXECUTE FUNCTION keep_session();
CREATE FUNCTION keep_sessions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would forget which sessions were ended', TG_TABLE_NAME;
END $$;
CREATE TRIGGER sessions_stay_all BEFORE TRUNCATE ON sessions
    FOR EACH STATEMENT EXECUTE FUNCTION keep_sessions();
