-- name: peek
-- The order makes it a walk of the claim index, whatever the statistics say.
SELECT 1 AS ready
FROM unnest(
    CAST(:queue AS text[]), CAST(:priority AS smallint[]), CAST(:after AS bigint[])
) AS lane (queue, priority, after)
CROSS JOIN LATERAL (
    SELECT 1 FROM {p}job AS j
    WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.rank > lane.after
    ORDER BY j.rank
    LIMIT 1
) AS first
LIMIT 1

-- name: claim
-- The loop over lanes stops at the limit and nothing sorts, so never more rows are locked than
-- taken. Whatever the planner expects: an array between bounds counts as one row, so the update
-- goes by the key, and the full joins (of two equal sets) cannot become nested loops.
WITH picked AS MATERIALIZED (
    SELECT found.id, found.rank
    FROM unnest(
        CAST(:queue AS text[]), CAST(:priority AS smallint[]), CAST(:after AS bigint[])
    ) AS lane (queue, priority, after)
    CROSS JOIN LATERAL (
        SELECT j.id, j.rank FROM {p}job AS j
        WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.rank > lane.after
        ORDER BY j.rank
        LIMIT CAST(:limit AS bigint)
        FOR UPDATE SKIP LOCKED
    ) AS found
    LIMIT CAST(:limit AS bigint)
),
taken AS (
    UPDATE {p}job AS j
    SET state = 'running', rank = NULL, waiting_key = NULL, token = token + 1,
        attempt = attempt + 1, worker_id = CAST(:worker AS bigint), started_at = :now
    FROM unnest(ARRAY(SELECT id FROM picked)) AS chosen (id)
    WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
    RETURNING
        j.id, token, attempt, task, queue, priority, args, max_attempts, timeout_us, meta,
        coalesce(expires_at <= :now, false) AS expired, coalesce(suspect, false) AS suspect,
        CASE WHEN token > 1 THEN (
            SELECT c.state FROM {p}checkpoint AS c WHERE c.job_id = j.id
        ) END AS checkpoint
),
forgotten AS (
    DELETE FROM {p}claim WHERE id = ANY (CAST(:done AS bigint[]))
),
recorded AS (
    INSERT INTO {p}claim (worker_id, job_ids, tokens, ranks)
    SELECT
        CAST(:worker AS bigint),
        array_agg(taken.id), array_agg(taken.token), array_agg(picked.rank)
    FROM taken FULL JOIN picked ON picked.id = taken.id
    HAVING count(*) > 0
    RETURNING id
)
SELECT
    taken.id, taken.token, taken.attempt, taken.task, taken.queue, taken.priority, taken.args,
    taken.max_attempts, taken.timeout_us, taken.expired, picked.rank, recorded.id AS claim_id,
    taken.meta, taken.suspect, taken.checkpoint
FROM taken
FULL JOIN picked ON picked.id = taken.id
CROSS JOIN recorded

-- name: left_behind
-- What is queued in a span of each lane's ranks that all claims have passed: per lane the first
-- rank, and how many there are. The span bounds the walk, also over entries that are dead.
SELECT lane.queue, lane.priority, min(found.rank) AS rank, count(*) AS n
FROM unnest(
    CAST(:queue AS text[]), CAST(:priority AS smallint[]), CAST(:after AS bigint[]),
    CAST(:until AS bigint[])
) AS lane (queue, priority, after, until)
CROSS JOIN LATERAL (
    SELECT j.rank FROM {p}job AS j
    WHERE j.queue = lane.queue AND j.priority = lane.priority
        AND j.rank > lane.after AND j.rank <= lane.until
    ORDER BY j.rank
    LIMIT CAST(:limit AS bigint)
) AS found
GROUP BY lane.queue, lane.priority

-- name: held
-- What the records say this worker holds and has not ended: (job, token, old rank).
SELECT held.id, held.token, held.rank, c.id AS claim_id
FROM {p}claim AS c
CROSS JOIN LATERAL unnest(c.job_ids, c.tokens, c.ranks) AS held (id, token, rank)
CROSS JOIN LATERAL (
    SELECT j.token, j.state FROM {p}job AS j WHERE j.id = held.id LIMIT 1
) AS found
WHERE c.worker_id = CAST(:worker AS bigint)
    AND found.token = held.token AND found.state = 'running'

-- name: give_back
-- Uncharged, at its old rank; a job that was to be cancelled is cancelled instead, and one that has
-- started comes to its gates again, if it has any: so does one whose token of a rate is taken
-- already. Who was a suspect stays one. CASE hides the guard from the planner, as in finish.
WITH given AS MATERIALIZED (
    SELECT g.id, g.token, g.rank, w.job_id IS NOT NULL AS is_gated
    FROM unnest(
        CAST(:id AS bigint[]), CAST(:token AS bigint[]), CAST(:rank AS bigint[])
    ) AS g (id, token, rank)
    LEFT JOIN LATERAL (
        SELECT job_id FROM {p}gate_job
        WHERE job_id = g.id
            AND (CAST(:started AS boolean) OR (kind = 'rate' AND token IS NULL))
        LIMIT 1
    ) AS w ON true
    WHERE g.id BETWEEN 0 AND 4611686018427387904
),
back AS (
    UPDATE {p}job AS j
    SET state = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN given.is_gated THEN 'blocked'
            ELSE 'queued'
        END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
        END,
        shelf = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN given.is_gated THEN 'blocked'
        END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN :now END,
        rank = CASE WHEN cancel_requested_at IS NULL AND NOT given.is_gated THEN given.rank END,
        attempt = attempt - 1, worker_id = NULL,
        started_at = CASE WHEN CAST(:started AS boolean) AND given.is_gated THEN started_at END,
        suspect = CASE WHEN CAST(:suspect AS boolean) THEN true ELSE suspect END
    FROM given
    WHERE j.id = given.id AND j.token = given.token
        AND CASE j.state WHEN 'running' THEN true ELSE false END
    RETURNING j.id, j.queue, j.priority, j.state, j.rank, j.token
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM back WHERE state = 'cancelled' GROUP BY queue, state
),
heard AS (
    DELETE FROM {p}cancel_request AS r USING back
    WHERE r.job_id = back.id AND r.token = back.token
)
SELECT id, queue, priority, rank FROM back
