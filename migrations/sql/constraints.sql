-- The CHECK constraints: Tortoise and aerich have no words for them.
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
ALTER TABLE audit_log
    ADD CONSTRAINT ck_audit_log_outcome CHECK (outcome IN ('done', 'refused')),
    ADD CONSTRAINT ck_audit_log_action CHECK (action <> ''),
    ADD CONSTRAINT ck_audit_log_count CHECK (count > 0);
ALTER TABLE idempotent_responses
    ADD CONSTRAINT ck_idempotent_responses_digest
        CHECK (digest ~ '^[0-9a-f]{64}$' AND fingerprint ~ '^[0-9a-f]{64}$');

-- Images are compressed already: a second compression costs time and gains nothing.
ALTER TABLE uploads ALTER COLUMN data SET STORAGE EXTERNAL;
