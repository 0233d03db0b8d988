-- part: matches
-- All terms hold for the job j. A term is judged by one number, or by texts: a tag is any of several,
-- everything else is one at most. What JSON holds is compared as it is written there, so that 42
-- stands for the number and for the text.
NOT EXISTS (
    SELECT 1 FROM json_each(:terms) AS term
    WHERE (term.value ->> 'negated') = CASE
        WHEN json_array_length(term.value, '$.lows') > 0 THEN EXISTS (
            SELECT 1 FROM json_each(term.value, '$.lows') AS low
            WHERE CASE term.value ->> 'word'
                WHEN 'id' THEN j.id
                WHEN 'priority' THEN j.priority
                WHEN 'attempt' THEN j.attempt
                WHEN 'version' THEN coalesce(j.version, 1)
                WHEN 'created' THEN j.created_at
                WHEN 'age' THEN coalesce(:as_of, :now) - j.created_at
            END BETWEEN low.value AND (term.value -> '$.highs') ->> low.key
        )
        WHEN term.value ->> 'word' = 'error' THEN EXISTS (
            SELECT 1 FROM json_each(term.value, '$.values') AS part
            WHERE instr(j.error -> '$.type', part.value) > 0
                OR instr(j.error -> '$.message', part.value) > 0
        )
        ELSE EXISTS (
            SELECT 1
            FROM json_each(CASE term.value ->> 'word'
                WHEN 'tag' THEN j.tags
                ELSE json_array(CASE term.value ->> 'word'
                    WHEN 'state' THEN j.state
                    WHEN 'reason' THEN j.reason
                    WHEN 'queue' THEN j.queue
                    WHEN 'task' THEN j.task
                    WHEN 'group' THEN j.group_key
                    WHEN 'tenant' THEN j.tenant
                    WHEN 'worker' THEN (SELECT name FROM {p}worker WHERE id = j.worker_id)
                    ELSE (
                        SELECT CASE json_type(said.text, said.place)
                            WHEN 'text' THEN said.text ->> said.place
                            WHEN 'object' THEN NULL
                            WHEN 'array' THEN NULL
                            ELSE (said.text -> said.place) || ''
                        END
                        FROM (
                            SELECT
                                iif(term.value ->> 'word' = 'args', j.args, j.meta) AS text,
                                '$' || (
                                    SELECT group_concat('."' || value || '"', '')
                                    FROM json_each(term.value, '$.path')
                                ) AS place
                        ) AS said
                    )
                END)
            END) AS said
            WHERE said.value IN (SELECT value FROM json_each(term.value, '$.values'))
                OR EXISTS (
                    SELECT 1 FROM json_each(term.value, '$.starts') AS start
                    WHERE substr(said.value, 1, length(start.value)) = start.value
                )
        )
    END
)
