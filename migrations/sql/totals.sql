-- The totals of courses, enrolments and students, kept by triggers (models/totals.py).
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
