-- part: matches
-- All terms hold for the job j. A term is judged by one number, or by texts: a tag is any of several,
-- everything else is one at most. What JSON holds is compared as it is written there, so that 42
-- stands for the number and for the text. An error may hold escapes that no text can hold, so its
-- parts are found in the JSON as it stands.
NOT EXISTS (
    SELECT 1
    FROM json_to_recordset(CAST(:terms AS json)) AS term (
        word text, path text[], "values" text[], starts text[], lows bigint[], highs bigint[],
        negated boolean
    )
    WHERE term.negated = CASE
        WHEN cardinality(term.lows) > 0 THEN EXISTS (
            SELECT 1 FROM unnest(term.lows, term.highs) AS span (low, high)
            WHERE CASE term.word
                WHEN 'id' THEN j.id
                WHEN 'priority' THEN j.priority
                WHEN 'attempt' THEN j.attempt
                WHEN 'version' THEN coalesce(j.version, 1)
                WHEN 'created' THEN j.created_at
                WHEN 'age' THEN coalesce(CAST(:as_of AS bigint), :now) - j.created_at
            END BETWEEN span.low AND span.high
        )
        WHEN term.word = 'error' THEN EXISTS (
            SELECT 1
            FROM
                regexp_matches(
                    CAST(j.error AS text), '"(type|message)"\s*:\s*("([^"\\]|\\.)*")', 'g'
                ) AS found (said),
                unnest(term."values") AS part
            WHERE position(part IN found.said[2]) > 0
        )
        ELSE EXISTS (
            SELECT 1
            FROM unnest(CASE term.word
                WHEN 'tag' THEN ARRAY(SELECT json_array_elements_text(j.tags))
                ELSE ARRAY[CASE term.word
                    WHEN 'state' THEN j.state
                    WHEN 'reason' THEN j.reason
                    WHEN 'queue' THEN j.queue
                    WHEN 'task' THEN j.task
                    WHEN 'group' THEN j.group_key
                    WHEN 'tenant' THEN j.tenant
                    WHEN 'worker' THEN (SELECT name FROM {p}worker WHERE id = j.worker_id)
                    ELSE (
                        SELECT CASE json_typeof(found)
                            WHEN 'object' THEN NULL
                            WHEN 'array' THEN NULL
                            WHEN 'null' THEN 'null'
                            ELSE found #>> '{}'
                        END
                        FROM (
                            SELECT CASE term.word WHEN 'args' THEN j.args ELSE j.meta END
                                #> term.path AS found
                        ) AS json_found
                    )
                END]
            END) AS said (text)
            WHERE said.text = ANY (term."values")
                OR EXISTS (
                    SELECT 1 FROM unnest(term.starts) AS start (text)
                    WHERE starts_with(said.text, start.text)
                )
        )
    END
)
