CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;
COMMENT ON EXTENSION pg_trgm IS 'text similarity measurement and index searching based on trigrams';
CREATE FUNCTION public.count_added_courses() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE course_totals SET total = total + change
    FROM (SELECT difficulty, count(*) AS change FROM added GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE FUNCTION public.count_added_enrollments() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.count_changed_courses() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.count_removed_courses() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE course_totals SET total = total - change
    FROM (SELECT difficulty, count(*) AS change FROM removed GROUP BY difficulty) AS changes
    WHERE course_totals.difficulty = changes.difficulty;
    RETURN NULL;
END $$;
CREATE FUNCTION public.count_removed_enrollments() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.end_sessions() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    UPDATE sessions SET revoked_at = clock_timestamp()
    WHERE user_id = NEW.id AND revoked_at IS NULL;
    RETURN NULL;
END $$;
CREATE FUNCTION public.keep_audit_log() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at < now() - interval '365 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: % is refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE FUNCTION public.keep_session() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'a token of session % is good until %', OLD.id, OLD.tokens_until
        USING ERRCODE = 'restrict_violation',
            HINT = 'Disable the user (`enroll users disable`), which ends all sessions at once; '
                'delete when the last token is over.';
END $$;
CREATE FUNCTION public.keep_sessions() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'TRUNCATE of % would forget which sessions were ended', TG_TABLE_NAME;
END $$;
CREATE FUNCTION public.notify_revoked() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_notify('revocations', NEW.id::text);
    RETURN NULL;
END $$;
CREATE FUNCTION public.refresh_cache() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.refresh_cache_of_image() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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
CREATE FUNCTION public.refuse_truncate() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION 'use DELETE: TRUNCATE of % would leave its totals wrong', TG_TABLE_NAME;
END $$;
CREATE FUNCTION public.search_pairs(folded text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT COST 1000
    AS $$
BEGIN
    RETURN array_to_tsvector(array_remove(string_to_array(
        regexp_replace(folded, '(..)', '\1 ', 'g') || ' ' ||
        regexp_replace(substr(folded, 2) || 'Z', '(..)', '\1 ', 'g'), ' '
    ), ''));
END $$;
CREATE FUNCTION public.search_text(given text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $_$
DECLARE
    folded text := given;
    letter text;
    folding text;
BEGIN
    IF octet_length(given) > length(given) THEN
        folded := lower(normalize(given, NFD) COLLATE "C");
        FOR letter, folding IN
            SELECT known.letter, known.foldings ->> known.letter
            FROM (
                SELECT DISTINCT string_to_table(folded, NULL) AS letter,
                    E'{"\\u0085": " ", "\\u00a0": " ", "\\u00b5": "\\u03bc", "\\u00c6": "\\u00e6", "\\u00d0": "\\u00f0", "\\u00d8": "\\u00f8", "\\u00de": "\\u00fe", "\\u00df": "ss", "\\u0110": "\\u0111", "\\u0126": "\\u0127", "\\u0132": "\\u0133", "\\u013f": "\\u0140", "\\u0141": "\\u0142", "\\u0149": "\\u02bcn", "\\u014a": "\\u014b", "\\u0152": "\\u0153", "\\u0166": "\\u0167", "\\u017f": "s", "\\u0181": "\\u0253", "\\u0182": "\\u0183", "\\u0184": "\\u0185", "\\u0186": "\\u0254", "\\u0187": "\\u0188", "\\u0189": "\\u0256", "\\u018a": "\\u0257", "\\u018b": "\\u018c", "\\u018e": "\\u01dd", "\\u018f": "\\u0259", "\\u0190": "\\u025b", "\\u0191": "\\u0192", "\\u0193": "\\u0260", "\\u0194": "\\u0263", "\\u0196": "\\u0269", "\\u0197": "\\u0268", "\\u0198": "\\u0199", "\\u019c": "\\u026f", "\\u019d": "\\u0272", "\\u019f": "\\u0275", "\\u01a2": "\\u01a3", "\\u01a4": "\\u01a5", "\\u01a6": "\\u0280", "\\u01a7": "\\u01a8", "\\u01a9": "\\u0283", "\\u01ac": "\\u01ad", "\\u01ae": "\\u0288", "\\u01b1": "\\u028a", "\\u01b2": "\\u028b", "\\u01b3": "\\u01b4", "\\u01b5": "\\u01b6", "\\u01b7": "\\u0292", "\\u01b8": "\\u01b9", "\\u01bc": "\\u01bd", "\\u01c4": "\\u01c6", "\\u01c5": "\\u01c6", "\\u01c7": "\\u01c9", "\\u01c8": "\\u01c9", "\\u01ca": "\\u01cc", "\\u01cb": "\\u01cc", "\\u01e4": "\\u01e5", "\\u01f1": "\\u01f3", "\\u01f2": "\\u01f3", "\\u01f6": "\\u0195", "\\u01f7": "\\u01bf", "\\u021c": "\\u021d", "\\u0220": "\\u019e", "\\u0222": "\\u0223", "\\u0224": "\\u0225", "\\u023a": "\\u2c65", "\\u023b": "\\u023c", "\\u023d": "\\u019a", "\\u023e": "\\u2c66", "\\u0241": "\\u0242", "\\u0243": "\\u0180", "\\u0244": "\\u0289", "\\u0245": "\\u028c", "\\u0246": "\\u0247", "\\u0248": "\\u0249", "\\u024a": "\\u024b", "\\u024c": "\\u024d", "\\u024e": "\\u024f", "\\u0345": "\\u03b9", "\\u0370": "\\u0371", "\\u0372": "\\u0373", "\\u0376": "\\u0377", "\\u037f": "\\u03f3", "\\u0391": "\\u03b1", "\\u0392": "\\u03b2", "\\u0393": "\\u03b3", "\\u0394": "\\u03b4", "\\u0395": "\\u03b5", "\\u0396": "\\u03b6", "\\u0397": "\\u03b7", "\\u0398": "\\u03b8", "\\u0399": "\\u03b9", "\\u039a": "\\u03ba", "\\u039b": "\\u03bb", "\\u039c": "\\u03bc", "\\u039d": "\\u03bd", "\\u039e": "\\u03be", "\\u039f": "\\u03bf", "\\u03a0": "\\u03c0", "\\u03a1": "\\u03c1", "\\u03a3": "\\u03c3", "\\u03a4": "\\u03c4", "\\u03a5": "\\u03c5", "\\u03a6": "\\u03c6", "\\u03a7": "\\u03c7", "\\u03a8": "\\u03c8", "\\u03a9": "\\u03c9", "\\u03c2": "\\u03c3", "\\u03cf": "\\u03d7", "\\u03d0": "\\u03b2", "\\u03d1": "\\u03b8", "\\u03d5": "\\u03c6", "\\u03d6": "\\u03c0", "\\u03d8": "\\u03d9", "\\u03da": "\\u03db", "\\u03dc": "\\u03dd", "\\u03de": "\\u03df", "\\u03e0": "\\u03e1", "\\u03e2": "\\u03e3", "\\u03e4": "\\u03e5", "\\u03e6": "\\u03e7", "\\u03e8": "\\u03e9", "\\u03ea": "\\u03eb", "\\u03ec": "\\u03ed", "\\u03ee": "\\u03ef", "\\u03f0": "\\u03ba", "\\u03f1": "\\u03c1", "\\u03f4": "\\u03b8", "\\u03f5": "\\u03b5", "\\u03f7": "\\u03f8", "\\u03f9": "\\u03f2", "\\u03fa": "\\u03fb", "\\u03fd": "\\u037b", "\\u03fe": "\\u037c", "\\u03ff": "\\u037d", "\\u0402": "\\u0452", "\\u0404": "\\u0454", "\\u0405": "\\u0455", "\\u0406": "\\u0456", "\\u0408": "\\u0458", "\\u0409": "\\u0459", "\\u040a": "\\u045a", "\\u040b": "\\u045b", "\\u040f": "\\u045f", "\\u0410": "\\u0430", "\\u0411": "\\u0431", "\\u0412": "\\u0432", "\\u0413": "\\u0433", "\\u0414": "\\u0434", "\\u0415": "\\u0435", "\\u0416": "\\u0436", "\\u0417": "\\u0437", "\\u0418": "\\u0438", "\\u041a": "\\u043a", "\\u041b": "\\u043b", "\\u041c": "\\u043c", "\\u041d": "\\u043d", "\\u041e": "\\u043e", "\\u041f": "\\u043f", "\\u0420": "\\u0440", "\\u0421": "\\u0441", "\\u0422": "\\u0442", "\\u0423": "\\u0443", "\\u0424": "\\u0444", "\\u0425": "\\u0445", "\\u0426": "\\u0446", "\\u0427": "\\u0447", "\\u0428": "\\u0448", "\\u0429": "\\u0449", "\\u042a": "\\u044a", "\\u042b": "\\u044b", "\\u042c": "\\u044c", "\\u042d": "\\u044d", "\\u042e": "\\u044e", "\\u042f": "\\u044f", "\\u0460": "\\u0461", "\\u0462": "\\u0463", "\\u0464": "\\u0465", "\\u0466": "\\u0467", "\\u0468": "\\u0469", "\\u046a": "\\u046b", "\\u046c": "\\u046d", "\\u046e": "\\u046f", "\\u0470": "\\u0471", "\\u0472": "\\u0473", "\\u0474": "\\u0475", "\\u0478": "\\u0479", "\\u047a": "\\u047b", "\\u047c": "\\u047d", "\\u047e": "\\u047f", "\\u0480": "\\u0481", "\\u048a": "\\u048b", "\\u048c": "\\u048d", "\\u048e": "\\u048f", "\\u0490": "\\u0491", "\\u0492": "\\u0493", "\\u0494": "\\u0495", "\\u0496": "\\u0497", "\\u0498": "\\u0499", "\\u049a": "\\u049b", "\\u049c": "\\u049d", "\\u049e": "\\u049f", "\\u04a0": "\\u04a1", "\\u04a2": "\\u04a3", "\\u04a4": "\\u04a5", "\\u04a6": "\\u04a7", "\\u04a8": "\\u04a9", "\\u04aa": "\\u04ab", "\\u04ac": "\\u04ad", "\\u04ae": "\\u04af", "\\u04b0": "\\u04b1", "\\u04b2": "\\u04b3", "\\u04b4": "\\u04b5", "\\u04b6": "\\u04b7", "\\u04b8": "\\u04b9", "\\u04ba": "\\u04bb", "\\u04bc": "\\u04bd", "\\u04be": "\\u04bf", "\\u04c0": "\\u04cf", "\\u04c3": "\\u04c4", "\\u04c5": "\\u04c6", "\\u04c7": "\\u04c8", "\\u04c9": "\\u04ca", "\\u04cb": "\\u04cc", "\\u04cd": "\\u04ce", "\\u04d4": "\\u04d5", "\\u04d8": "\\u04d9", "\\u04e0": "\\u04e1", "\\u04e8": "\\u04e9", "\\u04f6": "\\u04f7", "\\u04fa": "\\u04fb", "\\u04fc": "\\u04fd", "\\u04fe": "\\u04ff", "\\u0500": "\\u0501", "\\u0502": "\\u0503", "\\u0504": "\\u0505", "\\u0506": "\\u0507", "\\u0508": "\\u0509", "\\u050a": "\\u050b", "\\u050c": "\\u050d", "\\u050e": "\\u050f", "\\u0510": "\\u0511", "\\u0512": "\\u0513", "\\u0514": "\\u0515", "\\u0516": "\\u0517", "\\u0518": "\\u0519", "\\u051a": "\\u051b", "\\u051c": "\\u051d", "\\u051e": "\\u051f", "\\u0520": "\\u0521", "\\u0522": "\\u0523", "\\u0524": "\\u0525", "\\u0526": "\\u0527", "\\u0528": "\\u0529", "\\u052a": "\\u052b", "\\u052c": "\\u052d", "\\u052e": "\\u052f", "\\u0531": "\\u0561", "\\u0532": "\\u0562", "\\u0533": "\\u0563", "\\u0534": "\\u0564", "\\u0535": "\\u0565", "\\u0536": "\\u0566", "\\u0537": "\\u0567", "\\u0538": "\\u0568", "\\u0539": "\\u0569", "\\u053a": "\\u056a", "\\u053b": "\\u056b", "\\u053c": "\\u056c", "\\u053d": "\\u056d", "\\u053e": "\\u056e", "\\u053f": "\\u056f", "\\u0540": "\\u0570", "\\u0541": "\\u0571", "\\u0542": "\\u0572", "\\u0543": "\\u0573", "\\u0544": "\\u0574", "\\u0545": "\\u0575", "\\u0546": "\\u0576", "\\u0547": "\\u0577", "\\u0548": "\\u0578", "\\u0549": "\\u0579", "\\u054a": "\\u057a", "\\u054b": "\\u057b", "\\u054c": "\\u057c", "\\u054d": "\\u057d", "\\u054e": "\\u057e", "\\u054f": "\\u057f", "\\u0550": "\\u0580", "\\u0551": "\\u0581", "\\u0552": "\\u0582", "\\u0553": "\\u0583", "\\u0554": "\\u0584", "\\u0555": "\\u0585", "\\u0556": "\\u0586", "\\u0587": "\\u0565\\u0582", "\\u10a0": "\\u2d00", "\\u10a1": "\\u2d01", "\\u10a2": "\\u2d02", "\\u10a3": "\\u2d03", "\\u10a4": "\\u2d04", "\\u10a5": "\\u2d05", "\\u10a6": "\\u2d06", "\\u10a7": "\\u2d07", "\\u10a8": "\\u2d08", "\\u10a9": "\\u2d09", "\\u10aa": "\\u2d0a", "\\u10ab": "\\u2d0b", "\\u10ac": "\\u2d0c", "\\u10ad": "\\u2d0d", "\\u10ae": "\\u2d0e", "\\u10af": "\\u2d0f", "\\u10b0": "\\u2d10", "\\u10b1": "\\u2d11", "\\u10b2": "\\u2d12", "\\u10b3": "\\u2d13", "\\u10b4": "\\u2d14", "\\u10b5": "\\u2d15", "\\u10b6": "\\u2d16", "\\u10b7": "\\u2d17", "\\u10b8": "\\u2d18", "\\u10b9": "\\u2d19", "\\u10ba": "\\u2d1a", "\\u10bb": "\\u2d1b", "\\u10bc": "\\u2d1c", "\\u10bd": "\\u2d1d", "\\u10be": "\\u2d1e", "\\u10bf": "\\u2d1f", "\\u10c0": "\\u2d20", "\\u10c1": "\\u2d21", "\\u10c2": "\\u2d22", "\\u10c3": "\\u2d23", "\\u10c4": "\\u2d24", "\\u10c5": "\\u2d25", "\\u10c7": "\\u2d27", "\\u10cd": "\\u2d2d", "\\u13f8": "\\u13f0", "\\u13f9": "\\u13f1", "\\u13fa": "\\u13f2", "\\u13fb": "\\u13f3", "\\u13fc": "\\u13f4", "\\u13fd": "\\u13f5", "\\u1680": " ", "\\u1c80": "\\u0432", "\\u1c81": "\\u0434", "\\u1c82": "\\u043e", "\\u1c83": "\\u0441", "\\u1c84": "\\u0442", "\\u1c85": "\\u0442", "\\u1c86": "\\u044a", "\\u1c87": "\\u0463", "\\u1c88": "\\ua64b", "\\u1c90": "\\u10d0", "\\u1c91": "\\u10d1", "\\u1c92": "\\u10d2", "\\u1c93": "\\u10d3", "\\u1c94": "\\u10d4", "\\u1c95": "\\u10d5", "\\u1c96": "\\u10d6", "\\u1c97": "\\u10d7", "\\u1c98": "\\u10d8", "\\u1c99": "\\u10d9", "\\u1c9a": "\\u10da", "\\u1c9b": "\\u10db", "\\u1c9c": "\\u10dc", "\\u1c9d": "\\u10dd", "\\u1c9e": "\\u10de", "\\u1c9f": "\\u10df", "\\u1ca0": "\\u10e0", "\\u1ca1": "\\u10e1", "\\u1ca2": "\\u10e2", "\\u1ca3": "\\u10e3", "\\u1ca4": "\\u10e4", "\\u1ca5": "\\u10e5", "\\u1ca6": "\\u10e6", "\\u1ca7": "\\u10e7", "\\u1ca8": "\\u10e8", "\\u1ca9": "\\u10e9", "\\u1caa": "\\u10ea", "\\u1cab": "\\u10eb", "\\u1cac": "\\u10ec", "\\u1cad": "\\u10ed", "\\u1cae": "\\u10ee", "\\u1caf": "\\u10ef", "\\u1cb0": "\\u10f0", "\\u1cb1": "\\u10f1", "\\u1cb2": "\\u10f2", "\\u1cb3": "\\u10f3", "\\u1cb4": "\\u10f4", "\\u1cb5": "\\u10f5", "\\u1cb6": "\\u10f6", "\\u1cb7": "\\u10f7", "\\u1cb8": "\\u10f8", "\\u1cb9": "\\u10f9", "\\u1cba": "\\u10fa", "\\u1cbd": "\\u10fd", "\\u1cbe": "\\u10fe", "\\u1cbf": "\\u10ff", "\\u1e9a": "a\\u02be", "\\u1e9e": "ss", "\\u1efa": "\\u1efb", "\\u1efc": "\\u1efd", "\\u1efe": "\\u1eff", "\\u2000": " ", "\\u2001": " ", "\\u2002": " ", "\\u2003": " ", "\\u2004": " ", "\\u2005": " ", "\\u2006": " ", "\\u2007": " ", "\\u2008": " ", "\\u2009": " ", "\\u200a": " ", "\\u2028": " ", "\\u2029": " ", "\\u202f": " ", "\\u205f": " ", "\\u2132": "\\u214e", "\\u2160": "\\u2170", "\\u2161": "\\u2171", "\\u2162": "\\u2172", "\\u2163": "\\u2173", "\\u2164": "\\u2174", "\\u2165": "\\u2175", "\\u2166": "\\u2176", "\\u2167": "\\u2177", "\\u2168": "\\u2178", "\\u2169": "\\u2179", "\\u216a": "\\u217a", "\\u216b": "\\u217b", "\\u216c": "\\u217c", "\\u216d": "\\u217d", "\\u216e": "\\u217e", "\\u216f": "\\u217f", "\\u2183": "\\u2184", "\\u24b6": "\\u24d0", "\\u24b7": "\\u24d1", "\\u24b8": "\\u24d2", "\\u24b9": "\\u24d3", "\\u24ba": "\\u24d4", "\\u24bb": "\\u24d5", "\\u24bc": "\\u24d6", "\\u24bd": "\\u24d7", "\\u24be": "\\u24d8", "\\u24bf": "\\u24d9", "\\u24c0": "\\u24da", "\\u24c1": "\\u24db", "\\u24c2": "\\u24dc", "\\u24c3": "\\u24dd", "\\u24c4": "\\u24de", "\\u24c5": "\\u24df", "\\u24c6": "\\u24e0", "\\u24c7": "\\u24e1", "\\u24c8": "\\u24e2", "\\u24c9": "\\u24e3", "\\u24ca": "\\u24e4", "\\u24cb": "\\u24e5", "\\u24cc": "\\u24e6", "\\u24cd": "\\u24e7", "\\u24ce": "\\u24e8", "\\u24cf": "\\u24e9", "\\u2c00": "\\u2c30", "\\u2c01": "\\u2c31", "\\u2c02": "\\u2c32", "\\u2c03": "\\u2c33", "\\u2c04": "\\u2c34", "\\u2c05": "\\u2c35", "\\u2c06": "\\u2c36", "\\u2c07": "\\u2c37", "\\u2c08": "\\u2c38", "\\u2c09": "\\u2c39", "\\u2c0a": "\\u2c3a", "\\u2c0b": "\\u2c3b", "\\u2c0c": "\\u2c3c", "\\u2c0d": "\\u2c3d", "\\u2c0e": "\\u2c3e", "\\u2c0f": "\\u2c3f", "\\u2c10": "\\u2c40", "\\u2c11": "\\u2c41", "\\u2c12": "\\u2c42", "\\u2c13": "\\u2c43", "\\u2c14": "\\u2c44", "\\u2c15": "\\u2c45", "\\u2c16": "\\u2c46", "\\u2c17": "\\u2c47", "\\u2c18": "\\u2c48", "\\u2c19": "\\u2c49", "\\u2c1a": "\\u2c4a", "\\u2c1b": "\\u2c4b", "\\u2c1c": "\\u2c4c", "\\u2c1d": "\\u2c4d", "\\u2c1e": "\\u2c4e", "\\u2c1f": "\\u2c4f", "\\u2c20": "\\u2c50", "\\u2c21": "\\u2c51", "\\u2c22": "\\u2c52", "\\u2c23": "\\u2c53", "\\u2c24": "\\u2c54", "\\u2c25": "\\u2c55", "\\u2c26": "\\u2c56", "\\u2c27": "\\u2c57", "\\u2c28": "\\u2c58", "\\u2c29": "\\u2c59", "\\u2c2a": "\\u2c5a", "\\u2c2b": "\\u2c5b", "\\u2c2c": "\\u2c5c", "\\u2c2d": "\\u2c5d", "\\u2c2e": "\\u2c5e", "\\u2c2f": "\\u2c5f", "\\u2c60": "\\u2c61", "\\u2c62": "\\u026b", "\\u2c63": "\\u1d7d", "\\u2c64": "\\u027d", "\\u2c67": "\\u2c68", "\\u2c69": "\\u2c6a", "\\u2c6b": "\\u2c6c", "\\u2c6d": "\\u0251", "\\u2c6e": "\\u0271", "\\u2c6f": "\\u0250", "\\u2c70": "\\u0252", "\\u2c72": "\\u2c73", "\\u2c75": "\\u2c76", "\\u2c7e": "\\u023f", "\\u2c7f": "\\u0240", "\\u2c80": "\\u2c81", "\\u2c82": "\\u2c83", "\\u2c84": "\\u2c85", "\\u2c86": "\\u2c87", "\\u2c88": "\\u2c89", "\\u2c8a": "\\u2c8b", "\\u2c8c": "\\u2c8d", "\\u2c8e": "\\u2c8f", "\\u2c90": "\\u2c91", "\\u2c92": "\\u2c93", "\\u2c94": "\\u2c95", "\\u2c96": "\\u2c97", "\\u2c98": "\\u2c99", "\\u2c9a": "\\u2c9b", "\\u2c9c": "\\u2c9d", "\\u2c9e": "\\u2c9f", "\\u2ca0": "\\u2ca1", "\\u2ca2": "\\u2ca3", "\\u2ca4": "\\u2ca5", "\\u2ca6": "\\u2ca7", "\\u2ca8": "\\u2ca9", "\\u2caa": "\\u2cab", "\\u2cac": "\\u2cad", "\\u2cae": "\\u2caf", "\\u2cb0": "\\u2cb1", "\\u2cb2": "\\u2cb3", "\\u2cb4": "\\u2cb5", "\\u2cb6": "\\u2cb7", "\\u2cb8": "\\u2cb9", "\\u2cba": "\\u2cbb", "\\u2cbc": "\\u2cbd", "\\u2cbe": "\\u2cbf", "\\u2cc0": "\\u2cc1", "\\u2cc2": "\\u2cc3", "\\u2cc4": "\\u2cc5", "\\u2cc6": "\\u2cc7", "\\u2cc8": "\\u2cc9", "\\u2cca": "\\u2ccb", "\\u2ccc": "\\u2ccd", "\\u2cce": "\\u2ccf", "\\u2cd0": "\\u2cd1", "\\u2cd2": "\\u2cd3", "\\u2cd4": "\\u2cd5", "\\u2cd6": "\\u2cd7", "\\u2cd8": "\\u2cd9", "\\u2cda": "\\u2cdb", "\\u2cdc": "\\u2cdd", "\\u2cde": "\\u2cdf", "\\u2ce0": "\\u2ce1", "\\u2ce2": "\\u2ce3", "\\u2ceb": "\\u2cec", "\\u2ced": "\\u2cee", "\\u2cf2": "\\u2cf3", "\\u3000": " ", "\\ua640": "\\ua641", "\\ua642": "\\ua643", "\\ua644": "\\ua645", "\\ua646": "\\ua647", "\\ua648": "\\ua649", "\\ua64a": "\\ua64b", "\\ua64c": "\\ua64d", "\\ua64e": "\\ua64f", "\\ua650": "\\ua651", "\\ua652": "\\ua653", "\\ua654": "\\ua655", "\\ua656": "\\ua657", "\\ua658": "\\ua659", "\\ua65a": "\\ua65b", "\\ua65c": "\\ua65d", "\\ua65e": "\\ua65f", "\\ua660": "\\ua661", "\\ua662": "\\ua663", "\\ua664": "\\ua665", "\\ua666": "\\ua667", "\\ua668": "\\ua669", "\\ua66a": "\\ua66b", "\\ua66c": "\\ua66d", "\\ua680": "\\ua681", "\\ua682": "\\ua683", "\\ua684": "\\ua685", "\\ua686": "\\ua687", "\\ua688": "\\ua689", "\\ua68a": "\\ua68b", "\\ua68c": "\\ua68d", "\\ua68e": "\\ua68f", "\\ua690": "\\ua691", "\\ua692": "\\ua693", "\\ua694": "\\ua695", "\\ua696": "\\ua697", "\\ua698": "\\ua699", "\\ua69a": "\\ua69b", "\\ua722": "\\ua723", "\\ua724": "\\ua725", "\\ua726": "\\ua727", "\\ua728": "\\ua729", "\\ua72a": "\\ua72b", "\\ua72c": "\\ua72d", "\\ua72e": "\\ua72f", "\\ua732": "\\ua733", "\\ua734": "\\ua735", "\\ua736": "\\ua737", "\\ua738": "\\ua739", "\\ua73a": "\\ua73b", "\\ua73c": "\\ua73d", "\\ua73e": "\\ua73f", "\\ua740": "\\ua741", "\\ua742": "\\ua743", "\\ua744": "\\ua745", "\\ua746": "\\ua747", "\\ua748": "\\ua749", "\\ua74a": "\\ua74b", "\\ua74c": "\\ua74d", "\\ua74e": "\\ua74f", "\\ua750": "\\ua751", "\\ua752": "\\ua753", "\\ua754": "\\ua755", "\\ua756": "\\ua757", "\\ua758": "\\ua759", "\\ua75a": "\\ua75b", "\\ua75c": "\\ua75d", "\\ua75e": "\\ua75f", "\\ua760": "\\ua761", "\\ua762": "\\ua763", "\\ua764": "\\ua765", "\\ua766": "\\ua767", "\\ua768": "\\ua769", "\\ua76a": "\\ua76b", "\\ua76c": "\\ua76d", "\\ua76e": "\\ua76f", "\\ua779": "\\ua77a", "\\ua77b": "\\ua77c", "\\ua77d": "\\u1d79", "\\ua77e": "\\ua77f", "\\ua780": "\\ua781", "\\ua782": "\\ua783", "\\ua784": "\\ua785", "\\ua786": "\\ua787", "\\ua78b": "\\ua78c", "\\ua78d": "\\u0265", "\\ua790": "\\ua791", "\\ua792": "\\ua793", "\\ua796": "\\ua797", "\\ua798": "\\ua799", "\\ua79a": "\\ua79b", "\\ua79c": "\\ua79d", "\\ua79e": "\\ua79f", "\\ua7a0": "\\ua7a1", "\\ua7a2": "\\ua7a3", "\\ua7a4": "\\ua7a5", "\\ua7a6": "\\ua7a7", "\\ua7a8": "\\ua7a9", "\\ua7aa": "\\u0266", "\\ua7ab": "\\u025c", "\\ua7ac": "\\u0261", "\\ua7ad": "\\u026c", "\\ua7ae": "\\u026a", "\\ua7b0": "\\u029e", "\\ua7b1": "\\u0287", "\\ua7b2": "\\u029d", "\\ua7b3": "\\uab53", "\\ua7b4": "\\ua7b5", "\\ua7b6": "\\ua7b7", "\\ua7b8": "\\ua7b9", "\\ua7ba": "\\ua7bb", "\\ua7bc": "\\ua7bd", "\\ua7be": "\\ua7bf", "\\ua7c0": "\\ua7c1", "\\ua7c2": "\\ua7c3", "\\ua7c4": "\\ua794", "\\ua7c5": "\\u0282", "\\ua7c6": "\\u1d8e", "\\ua7c7": "\\ua7c8", "\\ua7c9": "\\ua7ca", "\\ua7d0": "\\ua7d1", "\\ua7d6": "\\ua7d7", "\\ua7d8": "\\ua7d9", "\\ua7f5": "\\ua7f6", "\\uab70": "\\u13a0", "\\uab71": "\\u13a1", "\\uab72": "\\u13a2", "\\uab73": "\\u13a3", "\\uab74": "\\u13a4", "\\uab75": "\\u13a5", "\\uab76": "\\u13a6", "\\uab77": "\\u13a7", "\\uab78": "\\u13a8", "\\uab79": "\\u13a9", "\\uab7a": "\\u13aa", "\\uab7b": "\\u13ab", "\\uab7c": "\\u13ac", "\\uab7d": "\\u13ad", "\\uab7e": "\\u13ae", "\\uab7f": "\\u13af", "\\uab80": "\\u13b0", "\\uab81": "\\u13b1", "\\uab82": "\\u13b2", "\\uab83": "\\u13b3", "\\uab84": "\\u13b4", "\\uab85": "\\u13b5", "\\uab86": "\\u13b6", "\\uab87": "\\u13b7", "\\uab88": "\\u13b8", "\\uab89": "\\u13b9", "\\uab8a": "\\u13ba", "\\uab8b": "\\u13bb", "\\uab8c": "\\u13bc", "\\uab8d": "\\u13bd", "\\uab8e": "\\u13be", "\\uab8f": "\\u13bf", "\\uab90": "\\u13c0", "\\uab91": "\\u13c1", "\\uab92": "\\u13c2", "\\uab93": "\\u13c3", "\\uab94": "\\u13c4", "\\uab95": "\\u13c5", "\\uab96": "\\u13c6", "\\uab97": "\\u13c7", "\\uab98": "\\u13c8", "\\uab99": "\\u13c9", "\\uab9a": "\\u13ca", "\\uab9b": "\\u13cb", "\\uab9c": "\\u13cc", "\\uab9d": "\\u13cd", "\\uab9e": "\\u13ce", "\\uab9f": "\\u13cf", "\\uaba0": "\\u13d0", "\\uaba1": "\\u13d1", "\\uaba2": "\\u13d2", "\\uaba3": "\\u13d3", "\\uaba4": "\\u13d4", "\\uaba5": "\\u13d5", "\\uaba6": "\\u13d6", "\\uaba7": "\\u13d7", "\\uaba8": "\\u13d8", "\\uaba9": "\\u13d9", "\\uabaa": "\\u13da", "\\uabab": "\\u13db", "\\uabac": "\\u13dc", "\\uabad": "\\u13dd", "\\uabae": "\\u13de", "\\uabaf": "\\u13df", "\\uabb0": "\\u13e0", "\\uabb1": "\\u13e1", "\\uabb2": "\\u13e2", "\\uabb3": "\\u13e3", "\\uabb4": "\\u13e4", "\\uabb5": "\\u13e5", "\\uabb6": "\\u13e6", "\\uabb7": "\\u13e7", "\\uabb8": "\\u13e8", "\\uabb9": "\\u13e9", "\\uabba": "\\u13ea", "\\uabbb": "\\u13eb", "\\uabbc": "\\u13ec", "\\uabbd": "\\u13ed", "\\uabbe": "\\u13ee", "\\uabbf": "\\u13ef", "\\ufb00": "ff", "\\ufb01": "fi", "\\ufb02": "fl", "\\ufb03": "ffi", "\\ufb04": "ffl", "\\ufb05": "st", "\\ufb06": "st", "\\ufb13": "\\u0574\\u0576", "\\ufb14": "\\u0574\\u0565", "\\ufb15": "\\u0574\\u056b", "\\ufb16": "\\u057e\\u0576", "\\ufb17": "\\u0574\\u056d", "\\uff21": "\\uff41", "\\uff22": "\\uff42", "\\uff23": "\\uff43", "\\uff24": "\\uff44", "\\uff25": "\\uff45", "\\uff26": "\\uff46", "\\uff27": "\\uff47", "\\uff28": "\\uff48", "\\uff29": "\\uff49", "\\uff2a": "\\uff4a", "\\uff2b": "\\uff4b", "\\uff2c": "\\uff4c", "\\uff2d": "\\uff4d", "\\uff2e": "\\uff4e", "\\uff2f": "\\uff4f", "\\uff30": "\\uff50", "\\uff31": "\\uff51", "\\uff32": "\\uff52", "\\uff33": "\\uff53", "\\uff34": "\\uff54", "\\uff35": "\\uff55", "\\uff36": "\\uff56", "\\uff37": "\\uff57", "\\uff38": "\\uff58", "\\uff39": "\\uff59", "\\uff3a": "\\uff5a", "\\ud801\\udc00": "\\ud801\\udc28", "\\ud801\\udc01": "\\ud801\\udc29", "\\ud801\\udc02": "\\ud801\\udc2a", "\\ud801\\udc03": "\\ud801\\udc2b", "\\ud801\\udc04": "\\ud801\\udc2c", "\\ud801\\udc05": "\\ud801\\udc2d", "\\ud801\\udc06": "\\ud801\\udc2e", "\\ud801\\udc07": "\\ud801\\udc2f", "\\ud801\\udc08": "\\ud801\\udc30", "\\ud801\\udc09": "\\ud801\\udc31", "\\ud801\\udc0a": "\\ud801\\udc32", "\\ud801\\udc0b": "\\ud801\\udc33", "\\ud801\\udc0c": "\\ud801\\udc34", "\\ud801\\udc0d": "\\ud801\\udc35", "\\ud801\\udc0e": "\\ud801\\udc36", "\\ud801\\udc0f": "\\ud801\\udc37", "\\ud801\\udc10": "\\ud801\\udc38", "\\ud801\\udc11": "\\ud801\\udc39", "\\ud801\\udc12": "\\ud801\\udc3a", "\\ud801\\udc13": "\\ud801\\udc3b", "\\ud801\\udc14": "\\ud801\\udc3c", "\\ud801\\udc15": "\\ud801\\udc3d", "\\ud801\\udc16": "\\ud801\\udc3e", "\\ud801\\udc17": "\\ud801\\udc3f", "\\ud801\\udc18": "\\ud801\\udc40", "\\ud801\\udc19": "\\ud801\\udc41", "\\ud801\\udc1a": "\\ud801\\udc42", "\\ud801\\udc1b": "\\ud801\\udc43", "\\ud801\\udc1c": "\\ud801\\udc44", "\\ud801\\udc1d": "\\ud801\\udc45", "\\ud801\\udc1e": "\\ud801\\udc46", "\\ud801\\udc1f": "\\ud801\\udc47", "\\ud801\\udc20": "\\ud801\\udc48", "\\ud801\\udc21": "\\ud801\\udc49", "\\ud801\\udc22": "\\ud801\\udc4a", "\\ud801\\udc23": "\\ud801\\udc4b", "\\ud801\\udc24": "\\ud801\\udc4c", "\\ud801\\udc25": "\\ud801\\udc4d", "\\ud801\\udc26": "\\ud801\\udc4e", "\\ud801\\udc27": "\\ud801\\udc4f", "\\ud801\\udcb0": "\\ud801\\udcd8", "\\ud801\\udcb1": "\\ud801\\udcd9", "\\ud801\\udcb2": "\\ud801\\udcda", "\\ud801\\udcb3": "\\ud801\\udcdb", "\\ud801\\udcb4": "\\ud801\\udcdc", "\\ud801\\udcb5": "\\ud801\\udcdd", "\\ud801\\udcb6": "\\ud801\\udcde", "\\ud801\\udcb7": "\\ud801\\udcdf", "\\ud801\\udcb8": "\\ud801\\udce0", "\\ud801\\udcb9": "\\ud801\\udce1", "\\ud801\\udcba": "\\ud801\\udce2", "\\ud801\\udcbb": "\\ud801\\udce3", "\\ud801\\udcbc": "\\ud801\\udce4", "\\ud801\\udcbd": "\\ud801\\udce5", "\\ud801\\udcbe": "\\ud801\\udce6", "\\ud801\\udcbf": "\\ud801\\udce7", "\\ud801\\udcc0": "\\ud801\\udce8", "\\ud801\\udcc1": "\\ud801\\udce9", "\\ud801\\udcc2": "\\ud801\\udcea", "\\ud801\\udcc3": "\\ud801\\udceb", "\\ud801\\udcc4": "\\ud801\\udcec", "\\ud801\\udcc5": "\\ud801\\udced", "\\ud801\\udcc6": "\\ud801\\udcee", "\\ud801\\udcc7": "\\ud801\\udcef", "\\ud801\\udcc8": "\\ud801\\udcf0", "\\ud801\\udcc9": "\\ud801\\udcf1", "\\ud801\\udcca": "\\ud801\\udcf2", "\\ud801\\udccb": "\\ud801\\udcf3", "\\ud801\\udccc": "\\ud801\\udcf4", "\\ud801\\udccd": "\\ud801\\udcf5", "\\ud801\\udcce": "\\ud801\\udcf6", "\\ud801\\udccf": "\\ud801\\udcf7", "\\ud801\\udcd0": "\\ud801\\udcf8", "\\ud801\\udcd1": "\\ud801\\udcf9", "\\ud801\\udcd2": "\\ud801\\udcfa", "\\ud801\\udcd3": "\\ud801\\udcfb", "\\ud801\\udd70": "\\ud801\\udd97", "\\ud801\\udd71": "\\ud801\\udd98", "\\ud801\\udd72": "\\ud801\\udd99", "\\ud801\\udd73": "\\ud801\\udd9a", "\\ud801\\udd74": "\\ud801\\udd9b", "\\ud801\\udd75": "\\ud801\\udd9c", "\\ud801\\udd76": "\\ud801\\udd9d", "\\ud801\\udd77": "\\ud801\\udd9e", "\\ud801\\udd78": "\\ud801\\udd9f", "\\ud801\\udd79": "\\ud801\\udda0", "\\ud801\\udd7a": "\\ud801\\udda1", "\\ud801\\udd7c": "\\ud801\\udda3", "\\ud801\\udd7d": "\\ud801\\udda4", "\\ud801\\udd7e": "\\ud801\\udda5", "\\ud801\\udd7f": "\\ud801\\udda6", "\\ud801\\udd80": "\\ud801\\udda7", "\\ud801\\udd81": "\\ud801\\udda8", "\\ud801\\udd82": "\\ud801\\udda9", "\\ud801\\udd83": "\\ud801\\uddaa", "\\ud801\\udd84": "\\ud801\\uddab", "\\ud801\\udd85": "\\ud801\\uddac", "\\ud801\\udd86": "\\ud801\\uddad", "\\ud801\\udd87": "\\ud801\\uddae", "\\ud801\\udd88": "\\ud801\\uddaf", "\\ud801\\udd89": "\\ud801\\uddb0", "\\ud801\\udd8a": "\\ud801\\uddb1", "\\ud801\\udd8c": "\\ud801\\uddb3", "\\ud801\\udd8d": "\\ud801\\uddb4", "\\ud801\\udd8e": "\\ud801\\uddb5", "\\ud801\\udd8f": "\\ud801\\uddb6", "\\ud801\\udd90": "\\ud801\\uddb7", "\\ud801\\udd91": "\\ud801\\uddb8", "\\ud801\\udd92": "\\ud801\\uddb9", "\\ud801\\udd94": "\\ud801\\uddbb", "\\ud801\\udd95": "\\ud801\\uddbc", "\\ud803\\udc80": "\\ud803\\udcc0", "\\ud803\\udc81": "\\ud803\\udcc1", "\\ud803\\udc82": "\\ud803\\udcc2", "\\ud803\\udc83": "\\ud803\\udcc3", "\\ud803\\udc84": "\\ud803\\udcc4", "\\ud803\\udc85": "\\ud803\\udcc5", "\\ud803\\udc86": "\\ud803\\udcc6", "\\ud803\\udc87": "\\ud803\\udcc7", "\\ud803\\udc88": "\\ud803\\udcc8", "\\ud803\\udc89": "\\ud803\\udcc9", "\\ud803\\udc8a": "\\ud803\\udcca", "\\ud803\\udc8b": "\\ud803\\udccb", "\\ud803\\udc8c": "\\ud803\\udccc", "\\ud803\\udc8d": "\\ud803\\udccd", "\\ud803\\udc8e": "\\ud803\\udcce", "\\ud803\\udc8f": "\\ud803\\udccf", "\\ud803\\udc90": "\\ud803\\udcd0", "\\ud803\\udc91": "\\ud803\\udcd1", "\\ud803\\udc92": "\\ud803\\udcd2", "\\ud803\\udc93": "\\ud803\\udcd3", "\\ud803\\udc94": "\\ud803\\udcd4", "\\ud803\\udc95": "\\ud803\\udcd5", "\\ud803\\udc96": "\\ud803\\udcd6", "\\ud803\\udc97": "\\ud803\\udcd7", "\\ud803\\udc98": "\\ud803\\udcd8", "\\ud803\\udc99": "\\ud803\\udcd9", "\\ud803\\udc9a": "\\ud803\\udcda", "\\ud803\\udc9b": "\\ud803\\udcdb", "\\ud803\\udc9c": "\\ud803\\udcdc", "\\ud803\\udc9d": "\\ud803\\udcdd", "\\ud803\\udc9e": "\\ud803\\udcde", "\\ud803\\udc9f": "\\ud803\\udcdf", "\\ud803\\udca0": "\\ud803\\udce0", "\\ud803\\udca1": "\\ud803\\udce1", "\\ud803\\udca2": "\\ud803\\udce2", "\\ud803\\udca3": "\\ud803\\udce3", "\\ud803\\udca4": "\\ud803\\udce4", "\\ud803\\udca5": "\\ud803\\udce5", "\\ud803\\udca6": "\\ud803\\udce6", "\\ud803\\udca7": "\\ud803\\udce7", "\\ud803\\udca8": "\\ud803\\udce8", "\\ud803\\udca9": "\\ud803\\udce9", "\\ud803\\udcaa": "\\ud803\\udcea", "\\ud803\\udcab": "\\ud803\\udceb", "\\ud803\\udcac": "\\ud803\\udcec", "\\ud803\\udcad": "\\ud803\\udced", "\\ud803\\udcae": "\\ud803\\udcee", "\\ud803\\udcaf": "\\ud803\\udcef", "\\ud803\\udcb0": "\\ud803\\udcf0", "\\ud803\\udcb1": "\\ud803\\udcf1", "\\ud803\\udcb2": "\\ud803\\udcf2", "\\ud806\\udca0": "\\ud806\\udcc0", "\\ud806\\udca1": "\\ud806\\udcc1", "\\ud806\\udca2": "\\ud806\\udcc2", "\\ud806\\udca3": "\\ud806\\udcc3", "\\ud806\\udca4": "\\ud806\\udcc4", "\\ud806\\udca5": "\\ud806\\udcc5", "\\ud806\\udca6": "\\ud806\\udcc6", "\\ud806\\udca7": "\\ud806\\udcc7", "\\ud806\\udca8": "\\ud806\\udcc8", "\\ud806\\udca9": "\\ud806\\udcc9", "\\ud806\\udcaa": "\\ud806\\udcca", "\\ud806\\udcab": "\\ud806\\udccb", "\\ud806\\udcac": "\\ud806\\udccc", "\\ud806\\udcad": "\\ud806\\udccd", "\\ud806\\udcae": "\\ud806\\udcce", "\\ud806\\udcaf": "\\ud806\\udccf", "\\ud806\\udcb0": "\\ud806\\udcd0", "\\ud806\\udcb1": "\\ud806\\udcd1", "\\ud806\\udcb2": "\\ud806\\udcd2", "\\ud806\\udcb3": "\\ud806\\udcd3", "\\ud806\\udcb4": "\\ud806\\udcd4", "\\ud806\\udcb5": "\\ud806\\udcd5", "\\ud806\\udcb6": "\\ud806\\udcd6", "\\ud806\\udcb7": "\\ud806\\udcd7", "\\ud806\\udcb8": "\\ud806\\udcd8", "\\ud806\\udcb9": "\\ud806\\udcd9", "\\ud806\\udcba": "\\ud806\\udcda", "\\ud806\\udcbb": "\\ud806\\udcdb", "\\ud806\\udcbc": "\\ud806\\udcdc", "\\ud806\\udcbd": "\\ud806\\udcdd", "\\ud806\\udcbe": "\\ud806\\udcde", "\\ud806\\udcbf": "\\ud806\\udcdf", "\\ud81b\\ude40": "\\ud81b\\ude60", "\\ud81b\\ude41": "\\ud81b\\ude61", "\\ud81b\\ude42": "\\ud81b\\ude62", "\\ud81b\\ude43": "\\ud81b\\ude63", "\\ud81b\\ude44": "\\ud81b\\ude64", "\\ud81b\\ude45": "\\ud81b\\ude65", "\\ud81b\\ude46": "\\ud81b\\ude66", "\\ud81b\\ude47": "\\ud81b\\ude67", "\\ud81b\\ude48": "\\ud81b\\ude68", "\\ud81b\\ude49": "\\ud81b\\ude69", "\\ud81b\\ude4a": "\\ud81b\\ude6a", "\\ud81b\\ude4b": "\\ud81b\\ude6b", "\\ud81b\\ude4c": "\\ud81b\\ude6c", "\\ud81b\\ude4d": "\\ud81b\\ude6d", "\\ud81b\\ude4e": "\\ud81b\\ude6e", "\\ud81b\\ude4f": "\\ud81b\\ude6f", "\\ud81b\\ude50": "\\ud81b\\ude70", "\\ud81b\\ude51": "\\ud81b\\ude71", "\\ud81b\\ude52": "\\ud81b\\ude72", "\\ud81b\\ude53": "\\ud81b\\ude73", "\\ud81b\\ude54": "\\ud81b\\ude74", "\\ud81b\\ude55": "\\ud81b\\ude75", "\\ud81b\\ude56": "\\ud81b\\ude76", "\\ud81b\\ude57": "\\ud81b\\ude77", "\\ud81b\\ude58": "\\ud81b\\ude78", "\\ud81b\\ude59": "\\ud81b\\ude79", "\\ud81b\\ude5a": "\\ud81b\\ude7a", "\\ud81b\\ude5b": "\\ud81b\\ude7b", "\\ud81b\\ude5c": "\\ud81b\\ude7c", "\\ud81b\\ude5d": "\\ud81b\\ude7d", "\\ud81b\\ude5e": "\\ud81b\\ude7e", "\\ud81b\\ude5f": "\\ud81b\\ude7f", "\\ud83a\\udd00": "\\ud83a\\udd22", "\\ud83a\\udd01": "\\ud83a\\udd23", "\\ud83a\\udd02": "\\ud83a\\udd24", "\\ud83a\\udd03": "\\ud83a\\udd25", "\\ud83a\\udd04": "\\ud83a\\udd26", "\\ud83a\\udd05": "\\ud83a\\udd27", "\\ud83a\\udd06": "\\ud83a\\udd28", "\\ud83a\\udd07": "\\ud83a\\udd29", "\\ud83a\\udd08": "\\ud83a\\udd2a", "\\ud83a\\udd09": "\\ud83a\\udd2b", "\\ud83a\\udd0a": "\\ud83a\\udd2c", "\\ud83a\\udd0b": "\\ud83a\\udd2d", "\\ud83a\\udd0c": "\\ud83a\\udd2e", "\\ud83a\\udd0d": "\\ud83a\\udd2f", "\\ud83a\\udd0e": "\\ud83a\\udd30", "\\ud83a\\udd0f": "\\ud83a\\udd31", "\\ud83a\\udd10": "\\ud83a\\udd32", "\\ud83a\\udd11": "\\ud83a\\udd33", "\\ud83a\\udd12": "\\ud83a\\udd34", "\\ud83a\\udd13": "\\ud83a\\udd35", "\\ud83a\\udd14": "\\ud83a\\udd36", "\\ud83a\\udd15": "\\ud83a\\udd37", "\\ud83a\\udd16": "\\ud83a\\udd38", "\\ud83a\\udd17": "\\ud83a\\udd39", "\\ud83a\\udd18": "\\ud83a\\udd3a", "\\ud83a\\udd19": "\\ud83a\\udd3b", "\\ud83a\\udd1a": "\\ud83a\\udd3c", "\\ud83a\\udd1b": "\\ud83a\\udd3d", "\\ud83a\\udd1c": "\\ud83a\\udd3e", "\\ud83a\\udd1d": "\\ud83a\\udd3f", "\\ud83a\\udd1e": "\\ud83a\\udd40", "\\ud83a\\udd1f": "\\ud83a\\udd41", "\\ud83a\\udd20": "\\ud83a\\udd42", "\\ud83a\\udd21": "\\ud83a\\udd43"}'::jsonb AS foldings
            ) AS known
            WHERE known.foldings ? known.letter
        LOOP
            folded := replace(folded, letter, folding);
        END LOOP;
        folded := normalize(folded, NFC);
    END IF;
    RETURN translate(
        lower(folded COLLATE "C"),
        E' \t\n\x0B\f\r\x1C\x1D\x1E\x1F\x01!"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~\x7F',
        'QQQQQQQQQQZABCDEFGHIJKLMNOPRSTUVWXYБГДЖЗЛФЩЮ'
    );
END $_$;
CREATE TABLE public.aerich (
    id integer NOT NULL,
    version character varying(255) NOT NULL,
    app character varying(100) NOT NULL,
    content jsonb NOT NULL
);
CREATE SEQUENCE public.aerich_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.aerich_id_seq OWNED BY public.aerich.id;
CREATE TABLE public.audit_log (
    id uuid NOT NULL,
    at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    action character varying(64) NOT NULL,
    outcome character varying(16) NOT NULL,
    actor character varying(255),
    actor_id uuid,
    target character varying(512),
    address character varying(64),
    request_id character varying(128),
    count integer DEFAULT 1 NOT NULL,
    details jsonb,
    CONSTRAINT ck_audit_log_action CHECK (((action)::text <> ''::text)),
    CONSTRAINT ck_audit_log_count CHECK ((count > 0)),
    CONSTRAINT ck_audit_log_outcome CHECK (((outcome)::text = ANY ((ARRAY['done'::character varying, 'refused'::character varying])::text[])))
);
COMMENT ON TABLE public.audit_log IS 'One act, or `count` refusals of one kind that came close together.';
COMMENT ON COLUMN public.audit_log.outcome IS 'DONE: done
REFUSED: refused';
CREATE TABLE public.course_totals (
    difficulty character varying(16) NOT NULL,
    total integer NOT NULL
);
COMMENT ON TABLE public.course_totals IS 'How many courses of a difficulty there are.';
COMMENT ON COLUMN public.course_totals.difficulty IS 'BEGINNER: Beginner
INTERMEDIATE: Intermediate
ADVANCED: Advanced';
CREATE TABLE public.courses (
    id uuid NOT NULL,
    title character varying(255) NOT NULL,
    description text NOT NULL,
    difficulty character varying(16) NOT NULL,
    image_url character varying(2048),
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    image_task_id uuid,
    search_text text GENERATED ALWAYS AS (public.search_text((((title)::text || E'\x01'::text) || description))) STORED,
    CONSTRAINT ck_courses_description CHECK ((description <> ''::text)),
    CONSTRAINT ck_courses_difficulty CHECK (((difficulty)::text = ANY ((ARRAY['Beginner'::character varying, 'Intermediate'::character varying, 'Advanced'::character varying])::text[]))),
    CONSTRAINT ck_courses_title CHECK (((title)::text <> ''::text))
);
COMMENT ON TABLE public.courses IS 'A course.';
COMMENT ON COLUMN public.courses.difficulty IS 'BEGINNER: Beginner
INTERMEDIATE: Intermediate
ADVANCED: Advanced';
CREATE TABLE public.enrollment_totals (
    slot integer NOT NULL,
    enrollments bigint NOT NULL,
    students bigint NOT NULL
);
COMMENT ON TABLE public.enrollment_totals IS 'What one slot has seen come and go; the totals are the sums of all slots.';
CREATE TABLE public.enrollments (
    id uuid NOT NULL,
    student_email character varying(320) NOT NULL,
    enrolled_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    updated_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    course_id uuid NOT NULL,
    CONSTRAINT ck_enrollments_student_email CHECK ((((student_email)::text <> ''::text) AND ((student_email)::text = lower((student_email)::text))))
);
COMMENT ON TABLE public.enrollments IS 'A student''s place in a course; its constraints, not the code, refuse a bad one.';
CREATE TABLE public.image_variants (
    id uuid NOT NULL,
    width integer NOT NULL,
    height integer NOT NULL,
    format character varying(16) NOT NULL,
    bytes integer NOT NULL,
    key character varying(255) NOT NULL,
    course_id uuid NOT NULL,
    CONSTRAINT ck_image_variants_size CHECK (((width > 0) AND (height > 0) AND (bytes > 0)))
);
COMMENT ON TABLE public.image_variants IS 'One size of a course''s image: an object of the bucket under `key`.';
CREATE TABLE public.kept_answers (
    digest character varying(64) NOT NULL,
    fingerprint character varying(64) NOT NULL,
    status smallint,
    headers jsonb,
    body bytea,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    CONSTRAINT ck_kept_answers_digest CHECK ((((digest)::text ~ '^[0-9a-f]{64}$'::text) AND ((fingerprint)::text ~ '^[0-9a-f]{64}$'::text)))
);
COMMENT ON TABLE public.kept_answers IS 'An answer, to be given again; inserted in the transaction of what it tells.';
CREATE TABLE public.refresh_tokens (
    digest character varying(64) NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    used_at timestamp with time zone,
    session_id uuid NOT NULL,
    successor_nonce character varying(64)
);
COMMENT ON TABLE public.refresh_tokens IS 'A refresh token, known by its SHA-256 only: 64 hexadecimal digits.';
CREATE TABLE public.sessions (
    id uuid NOT NULL,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    tokens_until timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    user_id uuid NOT NULL
);
COMMENT ON TABLE public.sessions IS 'What a login opened; its id is in every token that comes of it.';
CREATE TABLE public.students (
    email character varying(320) NOT NULL,
    enrollment_count integer NOT NULL
);
COMMENT ON TABLE public.students IS 'Whoever is in at least one course.';
CREATE TABLE public.task_schedules (
    name character varying(128) NOT NULL,
    last_slot timestamp with time zone NOT NULL
);
COMMENT ON TABLE public.task_schedules IS 'A kind of task that is enqueued once a slot, and the start of the last slot that was served.';
CREATE TABLE public.tasks (
    id uuid NOT NULL,
    name character varying(128) NOT NULL,
    args jsonb NOT NULL,
    queue character varying(64),
    priority smallint DEFAULT 0 NOT NULL,
    dedupe_key character varying(255),
    state character varying(16) DEFAULT 'queued'::character varying NOT NULL,
    cancel_requested boolean DEFAULT false NOT NULL,
    progress smallint DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer,
    available_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    published_at timestamp with time zone,
    lease_until timestamp with time zone,
    worker character varying(255),
    error text,
    traceback text,
    request_id character varying(128),
    trace_context character varying(512),
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT ck_tasks_attempts CHECK ((attempts >= 0)),
    CONSTRAINT ck_tasks_finished CHECK (((finished_at IS NOT NULL) = ((state)::text = ANY ((ARRAY['succeeded'::character varying, 'failed'::character varying, 'cancelled'::character varying])::text[])))),
    CONSTRAINT ck_tasks_progress CHECK (((progress >= 0) AND (progress <= 100))),
    CONSTRAINT ck_tasks_state CHECK (((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying, 'succeeded'::character varying, 'failed'::character varying, 'cancelled'::character varying])::text[])))
)
WITH (fillfactor='80', autovacuum_vacuum_threshold='2000', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_analyze_threshold='2000', autovacuum_analyze_scale_factor='0', autovacuum_vacuum_cost_delay='0');
COMMENT ON TABLE public.tasks IS 'A piece of slow work, inserted in the transaction of what asked for it.';
COMMENT ON COLUMN public.tasks.state IS 'QUEUED: queued
RUNNING: running
SUCCEEDED: succeeded
FAILED: failed
CANCELLED: cancelled';
CREATE TABLE public.uploads (
    id uuid NOT NULL,
    data bytea NOT NULL,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    course_id uuid NOT NULL
);
ALTER TABLE ONLY public.uploads ALTER COLUMN data SET STORAGE EXTERNAL;
COMMENT ON TABLE public.uploads IS 'Staged bytes: durable when the upload is answered, deleted when the variants stand.';
CREATE TABLE public.users (
    id uuid NOT NULL,
    username character varying(255) NOT NULL,
    password_hash character varying(255) NOT NULL,
    role character varying(16) NOT NULL,
    created_at timestamp with time zone DEFAULT CURRENT_TIMESTAMP NOT NULL,
    disabled_at timestamp with time zone,
    CONSTRAINT ck_users_role CHECK (((role)::text = ANY ((ARRAY['admin'::character varying, 'student'::character varying])::text[]))),
    CONSTRAINT ck_users_username CHECK (((username)::text <> ''::text))
);
COMMENT ON TABLE public.users IS 'An account; the hash is passlib''s, so old `$2a$` ones verify.';
COMMENT ON COLUMN public.users.role IS 'ADMIN: admin
STUDENT: student';
ALTER TABLE ONLY public.aerich ALTER COLUMN id SET DEFAULT nextval('public.aerich_id_seq'::regclass);
ALTER TABLE ONLY public.aerich
    ADD CONSTRAINT aerich_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.course_totals
    ADD CONSTRAINT course_totals_pkey PRIMARY KEY (difficulty);
ALTER TABLE ONLY public.courses
    ADD CONSTRAINT courses_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.enrollment_totals
    ADD CONSTRAINT enrollment_totals_pkey PRIMARY KEY (slot);
ALTER TABLE ONLY public.enrollments
    ADD CONSTRAINT enrollments_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.image_variants
    ADD CONSTRAINT image_variants_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.kept_answers
    ADD CONSTRAINT kept_answers_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (digest);
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.students
    ADD CONSTRAINT students_pkey PRIMARY KEY (email);
ALTER TABLE ONLY public.task_schedules
    ADD CONSTRAINT task_schedules_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.tasks
    ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.image_variants
    ADD CONSTRAINT uid_image_varia_course__502ffd UNIQUE (course_id, width);
ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_username_key UNIQUE (username);
CREATE INDEX ix_audit_log_action ON public.audit_log USING btree (action, at DESC, id DESC);
CREATE INDEX ix_audit_log_actor ON public.audit_log USING btree (actor, at DESC, id DESC);
CREATE INDEX ix_audit_log_newest ON public.audit_log USING btree (at DESC, id DESC);
CREATE INDEX ix_courses_difficulty_newest ON public.courses USING btree (difficulty, created_at DESC, id DESC);
CREATE INDEX ix_courses_image_task ON public.courses USING btree (image_task_id) WHERE (image_task_id IS NOT NULL);
CREATE INDEX ix_courses_newest ON public.courses USING btree (created_at DESC, id DESC);
CREATE INDEX ix_courses_newest_levels ON public.courses USING btree (created_at DESC, id DESC) INCLUDE (difficulty);
CREATE INDEX ix_courses_search ON public.courses USING gin (search_text public.gin_trgm_ops) WITH (fastupdate=off);
CREATE INDEX ix_courses_search_pairs ON public.courses USING gin (public.search_pairs(search_text)) WITH (fastupdate=off);
ALTER INDEX public.ix_courses_search_pairs ALTER COLUMN 1 SET STATISTICS 0;
CREATE INDEX ix_courses_title ON public.courses USING btree (title, id) INCLUDE (difficulty);
CREATE INDEX ix_enrollments_course_newest ON public.enrollments USING btree (course_id, enrolled_at DESC, id DESC);
CREATE INDEX ix_enrollments_newest ON public.enrollments USING btree (enrolled_at DESC, id DESC);
CREATE INDEX ix_kept_answers_created ON public.kept_answers USING btree (created_at);
CREATE INDEX ix_refresh_tokens_expires ON public.refresh_tokens USING btree (expires_at);
CREATE INDEX ix_refresh_tokens_session ON public.refresh_tokens USING btree (session_id);
CREATE INDEX ix_sessions_expires ON public.sessions USING btree (expires_at);
CREATE INDEX ix_sessions_open ON public.sessions USING btree (user_id) WHERE (revoked_at IS NULL);
CREATE INDEX ix_sessions_revoked ON public.sessions USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);
CREATE INDEX ix_tasks_due ON public.tasks USING btree (name, priority DESC, available_at) WHERE ((state)::text = 'queued'::text);
CREATE INDEX ix_tasks_finished ON public.tasks USING btree (finished_at) WHERE (finished_at IS NOT NULL);
CREATE INDEX ix_tasks_images_removed ON public.tasks USING btree (created_at DESC) WHERE ((name)::text = 'images.remove'::text);
CREATE INDEX ix_tasks_lease ON public.tasks USING btree (lease_until) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[]));
CREATE INDEX ix_tasks_newest ON public.tasks USING btree (created_at DESC, id DESC);
CREATE INDEX ix_tasks_state_newest ON public.tasks USING btree (state, created_at DESC, id DESC);
CREATE INDEX ix_users_old_hashes ON public.users USING btree ("left"((password_hash)::text, 7)) WHERE ((password_hash)::text ~~ '$2%'::text);
CREATE UNIQUE INDEX uq_enrollments_student_email_course_id ON public.enrollments USING btree (student_email, course_id);
CREATE UNIQUE INDEX uq_tasks_dedupe_key ON public.tasks USING btree (dedupe_key) WHERE ((state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[]));
CREATE TRIGGER audit_log_rows_stay BEFORE DELETE OR UPDATE ON public.audit_log FOR EACH ROW EXECUTE FUNCTION public.keep_audit_log();
CREATE TRIGGER audit_log_stays BEFORE TRUNCATE ON public.audit_log FOR EACH STATEMENT EXECUTE FUNCTION public.keep_audit_log();
CREATE TRIGGER courses_added AFTER INSERT ON public.courses REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.count_added_courses();
CREATE TRIGGER courses_added_refresh AFTER INSERT ON public.courses REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_cache();
CREATE TRIGGER courses_changed AFTER UPDATE ON public.courses REFERENCING OLD TABLE AS removed NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.count_changed_courses();
CREATE TRIGGER courses_changed_refresh AFTER UPDATE ON public.courses REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_cache();
CREATE TRIGGER courses_removed AFTER DELETE ON public.courses REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.count_removed_courses();
CREATE TRIGGER courses_removed_refresh AFTER DELETE ON public.courses REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.refresh_cache();
CREATE TRIGGER courses_truncated BEFORE TRUNCATE ON public.courses FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_truncate();
CREATE TRIGGER enrollments_added AFTER INSERT ON public.enrollments REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.count_added_enrollments();
CREATE TRIGGER enrollments_removed AFTER DELETE ON public.enrollments REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION public.count_removed_enrollments();
CREATE TRIGGER enrollments_truncated BEFORE TRUNCATE ON public.enrollments FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_truncate();
CREATE TRIGGER sessions_revoked AFTER UPDATE OF revoked_at ON public.sessions FOR EACH ROW WHEN (((old.revoked_at IS NULL) AND (new.revoked_at IS NOT NULL))) EXECUTE FUNCTION public.notify_revoked();
CREATE TRIGGER sessions_stay BEFORE DELETE ON public.sessions FOR EACH ROW WHEN ((old.tokens_until > (now() - '00:01:00'::interval))) EXECUTE FUNCTION public.keep_session();
CREATE TRIGGER sessions_stay_all BEFORE TRUNCATE ON public.sessions FOR EACH STATEMENT EXECUTE FUNCTION public.keep_sessions();
CREATE TRIGGER tasks_image_refresh AFTER UPDATE OF state ON public.tasks FOR EACH ROW WHEN ((((new.name)::text = 'images.process'::text) AND (((old.state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[])) <> ((new.state)::text = ANY ((ARRAY['queued'::character varying, 'running'::character varying])::text[]))))) EXECUTE FUNCTION public.refresh_cache_of_image();
CREATE TRIGGER users_end_sessions AFTER UPDATE OF role, disabled_at ON public.users FOR EACH ROW WHEN ((((new.role)::text <> (old.role)::text) OR ((old.disabled_at IS NULL) AND (new.disabled_at IS NOT NULL)))) EXECUTE FUNCTION public.end_sessions();
ALTER TABLE ONLY public.courses
    ADD CONSTRAINT courses_image_task_id_fkey FOREIGN KEY (image_task_id) REFERENCES public.tasks(id) ON DELETE SET NULL;
ALTER TABLE ONLY public.enrollments
    ADD CONSTRAINT enrollments_course_id_fkey FOREIGN KEY (course_id) REFERENCES public.courses(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.image_variants
    ADD CONSTRAINT image_variants_course_id_fkey FOREIGN KEY (course_id) REFERENCES public.courses(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.refresh_tokens
    ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES public.sessions(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.sessions
    ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id) ON DELETE CASCADE;
ALTER TABLE ONLY public.uploads
    ADD CONSTRAINT uploads_course_id_fkey FOREIGN KEY (course_id) REFERENCES public.courses(id) ON DELETE CASCADE;
INSERT INTO public.course_totals VALUES ('Beginner', 0);
INSERT INTO public.course_totals VALUES ('Intermediate', 0);
INSERT INTO public.course_totals VALUES ('Advanced', 0);
INSERT INTO public.enrollment_totals VALUES (0, 0, 0);
INSERT INTO public.enrollment_totals VALUES (1, 0, 0);
INSERT INTO public.enrollment_totals VALUES (2, 0, 0);
INSERT INTO public.enrollment_totals VALUES (3, 0, 0);
INSERT INTO public.enrollment_totals VALUES (4, 0, 0);
INSERT INTO public.enrollment_totals VALUES (5, 0, 0);
INSERT INTO public.enrollment_totals VALUES (6, 0, 0);
INSERT INTO public.enrollment_totals VALUES (7, 0, 0);
INSERT INTO public.enrollment_totals VALUES (8, 0, 0);
INSERT INTO public.enrollment_totals VALUES (9, 0, 0);
INSERT INTO public.enrollment_totals VALUES (10, 0, 0);
INSERT INTO public.enrollment_totals VALUES (11, 0, 0);
INSERT INTO public.enrollment_totals VALUES (12, 0, 0);
INSERT INTO public.enrollment_totals VALUES (13, 0, 0);
INSERT INTO public.enrollment_totals VALUES (14, 0, 0);
INSERT INTO public.enrollment_totals VALUES (15, 0, 0);
INSERT INTO public.enrollment_totals VALUES (16, 0, 0);
INSERT INTO public.enrollment_totals VALUES (17, 0, 0);
INSERT INTO public.enrollment_totals VALUES (18, 0, 0);
INSERT INTO public.enrollment_totals VALUES (19, 0, 0);
INSERT INTO public.enrollment_totals VALUES (20, 0, 0);
INSERT INTO public.enrollment_totals VALUES (21, 0, 0);
INSERT INTO public.enrollment_totals VALUES (22, 0, 0);
INSERT INTO public.enrollment_totals VALUES (23, 0, 0);
INSERT INTO public.enrollment_totals VALUES (24, 0, 0);
INSERT INTO public.enrollment_totals VALUES (25, 0, 0);
INSERT INTO public.enrollment_totals VALUES (26, 0, 0);
INSERT INTO public.enrollment_totals VALUES (27, 0, 0);
INSERT INTO public.enrollment_totals VALUES (28, 0, 0);
INSERT INTO public.enrollment_totals VALUES (29, 0, 0);
INSERT INTO public.enrollment_totals VALUES (30, 0, 0);
INSERT INTO public.enrollment_totals VALUES (31, 0, 0);
INSERT INTO public.enrollment_totals VALUES (32, 0, 0);
INSERT INTO public.enrollment_totals VALUES (33, 0, 0);
INSERT INTO public.enrollment_totals VALUES (34, 0, 0);
INSERT INTO public.enrollment_totals VALUES (35, 0, 0);
INSERT INTO public.enrollment_totals VALUES (36, 0, 0);
INSERT INTO public.enrollment_totals VALUES (37, 0, 0);
INSERT INTO public.enrollment_totals VALUES (38, 0, 0);
INSERT INTO public.enrollment_totals VALUES (39, 0, 0);
INSERT INTO public.enrollment_totals VALUES (40, 0, 0);
INSERT INTO public.enrollment_totals VALUES (41, 0, 0);
INSERT INTO public.enrollment_totals VALUES (42, 0, 0);
INSERT INTO public.enrollment_totals VALUES (43, 0, 0);
INSERT INTO public.enrollment_totals VALUES (44, 0, 0);
INSERT INTO public.enrollment_totals VALUES (45, 0, 0);
INSERT INTO public.enrollment_totals VALUES (46, 0, 0);
INSERT INTO public.enrollment_totals VALUES (47, 0, 0);
INSERT INTO public.enrollment_totals VALUES (48, 0, 0);
INSERT INTO public.enrollment_totals VALUES (49, 0, 0);
INSERT INTO public.enrollment_totals VALUES (50, 0, 0);
INSERT INTO public.enrollment_totals VALUES (51, 0, 0);
INSERT INTO public.enrollment_totals VALUES (52, 0, 0);
INSERT INTO public.enrollment_totals VALUES (53, 0, 0);
INSERT INTO public.enrollment_totals VALUES (54, 0, 0);
INSERT INTO public.enrollment_totals VALUES (55, 0, 0);
INSERT INTO public.enrollment_totals VALUES (56, 0, 0);
INSERT INTO public.enrollment_totals VALUES (57, 0, 0);
INSERT INTO public.enrollment_totals VALUES (58, 0, 0);
INSERT INTO public.enrollment_totals VALUES (59, 0, 0);
INSERT INTO public.enrollment_totals VALUES (60, 0, 0);
INSERT INTO public.enrollment_totals VALUES (61, 0, 0);
INSERT INTO public.enrollment_totals VALUES (62, 0, 0);
INSERT INTO public.enrollment_totals VALUES (63, 0, 0);
INSERT INTO public.aerich (version, app, content) VALUES ('0_20261123000000_init.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('1_20261124025215_tasks_due_by_name.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('2_20261124030730_sessions.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('3_20261124032720_audit_log_kept_answers.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('4_20261124034200_cache_refresh.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('5_20261125190000_sessions_stay.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('6_20261125213820_search_without_list.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('7_20261125214945_pages_by_index_only.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('8_20261127212345_pages_by_narrow_index.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('9_20261129083501_search_text.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('10_20261129082500_queue.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('11_20261129090000_refresh_successors.py', 'models', '{}');
INSERT INTO public.aerich (version, app, content) VALUES ('12_20261129083000_images_removed.py', 'models', '{}');
