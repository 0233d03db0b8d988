-- name: enqueue_wishes
INSERT INTO {p}gate_job (job_id, kind, key, terms, place)
SELECT job_id, kind, key, terms, job_id
FROM unnest(
    CAST(:job_id AS bigint[]), CAST(:kind AS text[]), CAST(:key AS text[]), CAST(:terms AS text[])
) AS wished (job_id, kind, key, terms)

-- name: read_gates
-- Whom it has let through is judged by what became of them, see policy.gates. owed are all of them,
-- also who has started: his token is owed until a round has taken it. last is the place at the end
-- of the line.
SELECT
    wanted.kind, wanted.key, g.terms, g.terms_of, g.override, g.paused_at, g.paused_until,
    g.shut_until, g.next_at, g.full_at, g.fail_to, g.kind IS NOT NULL AS is_made,
    held.queued, held.running, held.waiting, held.failed, held.owed, tail.place AS last, :now AS now
FROM unnest(CAST(:kind AS text[]), CAST(:key AS text[])) AS wanted (kind, key)
LEFT JOIN LATERAL (
    SELECT * FROM {p}gate AS g WHERE g.kind = wanted.kind AND g.key = wanted.key LIMIT 1
) AS g ON true
CROSS JOIN LATERAL (
    SELECT
        count(*) FILTER (WHERE j.state = 'queued') AS queued,
        count(*) FILTER (WHERE j.state = 'running') AS running,
        count(*) FILTER (WHERE j.state IN ('blocked', 'scheduled', 'retrying', 'parked')) AS waiting,
        count(*) FILTER (WHERE j.state = 'failed') AS failed,
        count(*) AS owed
    FROM (
        SELECT job_id FROM {p}gate_job
        WHERE kind = wanted.kind AND key = wanted.key AND token IS NOT NULL
        OFFSET 0
    ) AS h
    CROSS JOIN LATERAL (SELECT state FROM {p}job WHERE id = h.job_id LIMIT 1) AS j
) AS held
LEFT JOIN LATERAL (
    SELECT place FROM {p}gate_job
    WHERE kind = wanted.kind AND key = wanted.key AND line IS NOT NULL
    ORDER BY kind DESC, key DESC, line DESC, place DESC
    LIMIT 1
) AS tail ON true

-- name: make_gates
-- The newest job's terms win.
INSERT INTO {p}gate (kind, key, terms, terms_of)
SELECT kind, key, terms, terms_of
FROM unnest(
    CAST(:kind AS text[]), CAST(:key AS text[]), CAST(:terms AS text[]), CAST(:terms_of AS bigint[])
) AS named (kind, key, terms, terms_of)
ON CONFLICT (kind, key) DO UPDATE SET terms = excluded.terms, terms_of = excluded.terms_of

-- name: line_heads
SELECT gate.kind AS gate_kind, gate.key AS gate_key, {looked}
FROM unnest(CAST(:kind AS text[]), CAST(:key AS text[])) AS gate (kind, key)
CROSS JOIN LATERAL (
    SELECT job_id FROM {p}gate_job
    WHERE kind = gate.kind AND key = gate.key AND line IS NOT NULL
    ORDER BY kind, key, line, place
    LIMIT CAST(:most AS bigint)
) AS first
CROSS JOIN LATERAL (SELECT * FROM {p}job WHERE id = first.job_id LIMIT 1) AS j
CROSS JOIN LATERAL (SELECT * FROM {p}gate_job WHERE job_id = j.id OFFSET 0) AS w

-- name: note_gate_jobs
UPDATE {p}gate_job AS w
SET place = noted.place, line = noted.line, token = noted.token
FROM unnest(
    CAST(:job_id AS bigint[]), CAST(:kind AS text[]), CAST(:key AS text[]),
    CAST(:place AS bigint[]), CAST(:line AS smallint[]), CAST(:token AS bigint[])
) AS noted (job_id, kind, key, place, line, token)
WHERE w.job_id = noted.job_id AND w.kind = noted.kind AND w.key = noted.key
    AND noted.job_id BETWEEN 0 AND 4611686018427387904

-- name: reserve_places
-- Ids, ranks and places are one sequence: whoever comes later stands behind.
SELECT nextval('{p}rank') AS id FROM generate_series(1, CAST(:n AS bigint))

-- name: note_gates
UPDATE {p}gate AS g
SET next_at = noted.next_at, full_at = noted.full_at, fail_to = noted.fail_to
FROM unnest(
    CAST(:kind AS text[]), CAST(:key AS text[]), CAST(:next_at AS bigint[]),
    CAST(:full_at AS bigint[]), CAST(:fail_to AS bigint[])
) AS noted (kind, key, next_at, full_at, fail_to)
WHERE g.kind = noted.kind AND g.key = noted.key
RETURNING g.kind

-- name: due_gates
SELECT kind, key FROM {p}gate WHERE next_at <= :now ORDER BY next_at LIMIT CAST(:limit AS bigint)

-- name: next_gate
SELECT next_at - :now AS in_us FROM {p}gate WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1

-- name: stale_holds
-- Queued and not claimed for so long, while jobs of another queue wait in the line.
SELECT j.id
FROM unnest(CAST(:kind AS text[]), CAST(:key AS text[])) AS gate (kind, key)
CROSS JOIN LATERAL (
    SELECT job_id FROM {p}gate_job
    WHERE kind = gate.kind AND key = gate.key AND token IS NOT NULL
    OFFSET 0
) AS held
CROSS JOIN LATERAL (
    SELECT id, state, queue, queued_at FROM {p}job WHERE id = held.job_id LIMIT 1
) AS j
WHERE j.state = 'queued' AND j.queued_at <= :now - CAST(:unclaimed_us AS bigint)
    AND EXISTS (
        SELECT 1
        FROM (
            SELECT job_id FROM {p}gate_job
            WHERE kind = gate.kind AND key = gate.key AND line IS NOT NULL
            ORDER BY kind, key, line, place
            LIMIT 100
        ) AS first
        CROSS JOIN LATERAL (SELECT queue FROM {p}job WHERE id = first.job_id LIMIT 1) AS other
        WHERE other.queue <> j.queue
    )
LIMIT CAST(:limit AS bigint)

-- name: give_up
-- They go to the end of the line.
WITH back AS (
    UPDATE {p}job AS j
    SET state = 'blocked', shelf = 'blocked', rank = NULL, queued_at = NULL
    FROM unnest(ARRAY(
        SELECT held.id
        FROM unnest(CAST(:ids AS bigint[])) AS given (id)
        CROSS JOIN LATERAL (
            SELECT id FROM {p}job
            WHERE id = given.id AND CASE state WHEN 'queued' THEN true ELSE false END
            FOR UPDATE SKIP LOCKED
        ) AS held
    )) AS chosen (id)
    WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
    RETURNING j.id
),
behind AS (
    UPDATE {p}gate_job AS w SET place = 0
    FROM unnest(ARRAY(SELECT id FROM back)) AS chosen (id)
    WHERE w.job_id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
        AND w.kind <> 'group'
)
SELECT id FROM back

-- name: line_until
SELECT job_id FROM {p}gate_job
WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text) AND line IS NOT NULL
    AND place <= CAST(:place AS bigint)
ORDER BY kind, key, line, place
LIMIT CAST(:limit AS bigint)

-- name: cancel_blocked
-- Whom somebody's open transaction holds is left for a later round.
WITH free AS MATERIALIZED ({blocked_and_free}),
cancelled AS (
    UPDATE {p}job AS j
    SET state = 'cancelled', reason = CAST(:reason AS text), shelf = 'cancelled',
        finished_at = :now, waiting_key = NULL, blocked_on = NULL
    FROM free
    WHERE j.id = free.id AND free.id BETWEEN 0 AND 4611686018427387904
    RETURNING j.id, j.queue
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, 'cancelled', count(*) FROM cancelled GROUP BY queue
)
SELECT id, queue FROM cancelled

-- name: note_blocked
-- Only said to people: it waits for nobody's transaction.
WITH free AS MATERIALIZED (
    SELECT noted.id, noted.gate
    FROM unnest(CAST(:id AS bigint[]), CAST(:gate AS text[])) AS noted (id, gate)
    CROSS JOIN LATERAL (
        SELECT id FROM {p}job
        WHERE id = noted.id AND CASE state WHEN 'blocked' THEN true ELSE false END
        FOR UPDATE SKIP LOCKED
    ) AS j
    WHERE noted.id BETWEEN 0 AND 4611686018427387904
)
UPDATE {p}job AS j SET blocked_on = free.gate
FROM free
WHERE j.id = free.id AND free.id BETWEEN 0 AND 4611686018427387904
RETURNING j.id

-- name: slow_gate
-- A gate that was forgotten is made anew.
INSERT INTO {p}gate AS g (kind, key, terms, terms_of, shut_until, next_at)
SELECT kind, key, terms, job_id, :now + CAST(:shut_us AS bigint), 0
FROM {p}gate_job WHERE job_id = CAST(:id AS bigint) AND kind = 'rate'
ON CONFLICT (kind, key) DO UPDATE
SET shut_until = greatest(g.shut_until, excluded.shut_until), next_at = 0
RETURNING key

-- name: gate_keys
SELECT kind, key FROM {p}gate
WHERE (kind, key) > (CAST(:kind AS text), CAST(:key AS text))
ORDER BY kind, key LIMIT CAST(:limit AS bigint)

-- name: prune_gates
-- A gate that nobody waits at, that holds nobody and of which nothing need be remembered is made
-- anew by the next job that names it.
DELETE FROM {p}gate AS g
USING unnest(CAST(:kind AS text[]), CAST(:key AS text[])) AS named (kind, key)
WHERE g.kind = named.kind AND g.key = named.key AND g.override IS NULL AND g.paused_at IS NULL
    AND g.fail_to IS NULL AND g.full_at <= :now AND coalesce(g.shut_until, 0) <= :now
    AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = g.kind AND w.key = g.key AND w.line IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = g.kind AND w.key = g.key AND w.token IS NOT NULL
    )
RETURNING g.key
