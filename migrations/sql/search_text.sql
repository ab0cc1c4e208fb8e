-- The text that searches compare: full case folding, NFC, and letters only, for pg_trgm knows
-- nothing else. Upper case, which no folded text has, stands for blanks (Q) and signs.
-- Not PARALLEL SAFE, so that no search takes more than one processor.
CREATE FUNCTION search_text(given text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $function$
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
                    :'foldings'::jsonb AS foldings
            ) AS known
            WHERE known.foldings ? known.letter
        LOOP
            folded := replace(folded, letter, folding);
        END LOOP;
        folded := normalize(folded, NFC);
    END IF;
    RETURN translate(
        lower(folded COLLATE "C"),
        E' \t\n\x0B\f\r\x1C\x1D\x1E\x1F' || E'\x01!"#$%&''()*+,-./:;<=>?@[\\]^_`{|}~\x7F',
        'QQQQQQQQQQ' || 'ZABCDEFGHIJKLMNOPRSTUVWXYБГДЖЗЛФЩЮ'
    );
END $function$;

-- Its pairs of neighbours, for searches of one or two letters, which have no trigram.
-- The cost keeps the planner from computing them row by row.
CREATE FUNCTION search_pairs(folded text) RETURNS tsvector
LANGUAGE plpgsql IMMUTABLE STRICT COST 1000 AS $function$
BEGIN
    RETURN array_to_tsvector(array_remove(string_to_array(
        regexp_replace(folded, '(..)', '\1 ', 'g') || ' ' ||
        regexp_replace(substr(folded, 2) || 'Z', '(..)', '\1 ', 'g'), ' '
    ), ''));
END $function$;

ALTER TABLE courses ADD COLUMN search_text text GENERATED ALWAYS AS
    (search_text(title || E'\x01' || description)) STORED;
-- Without fastupdate: a search would read all that writes left for VACUUM to sort in.
CREATE INDEX ix_courses_search ON courses
    USING gin (search_text gin_trgm_ops) WITH (fastupdate = off);
CREATE INDEX ix_courses_search_pairs ON courses
    USING gin (search_pairs(search_text)) WITH (fastupdate = off);
-- Without statistics the planner expects few matches, and always uses the index.
ALTER INDEX ix_courses_search_pairs ALTER COLUMN 1 SET STATISTICS 0;
