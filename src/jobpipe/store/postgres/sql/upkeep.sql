-- name: promote
-- What is due becomes queued behind all that is queued, or comes to its gates; what expired or was
-- to be cancelled ends.
-- Between two bounds the planner expects few rows when it knows nothing, and does not sort them.
WITH due AS MATERIALIZED (
    SELECT found.id
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
    CROSS JOIN LATERAL (
        SELECT j.id FROM {p}job AS j
        WHERE j.queue = lane.queue AND j.due_at BETWEEN CAST(:since AS bigint) AND :now
        ORDER BY j.due_at
        LIMIT CAST(:limit AS bigint)
        FOR UPDATE SKIP LOCKED
    ) AS found
    LIMIT CAST(:limit AS bigint)
),
moved AS (
    UPDATE {p}job AS j
    SET state = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN expires_at <= :now THEN 'failed'
            WHEN marks & 1 <> 0 THEN 'blocked'
            ELSE 'queued'
        END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
            WHEN expires_at <= :now THEN 'expired'
        END,
        shelf = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN expires_at <= :now THEN 'failed'
            WHEN marks & 1 <> 0 THEN 'blocked'
        END,
        finished_at = CASE
            WHEN cancel_requested_at IS NOT NULL OR expires_at <= :now THEN :now
        END,
        rank = CASE
            WHEN cancel_requested_at IS NOT NULL OR expires_at <= :now THEN NULL
            WHEN marks & 1 <> 0 THEN NULL
            ELSE nextval('{p}rank')
        END,
        queued_at = CASE
            WHEN cancel_requested_at IS NOT NULL OR expires_at <= :now THEN queued_at
            WHEN marks & 1 <> 0 THEN NULL
            ELSE :now
        END,
        due_at = NULL
    FROM unnest(ARRAY(SELECT id FROM due)) AS chosen (id)
    WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
    RETURNING j.id, queue, priority, state, rank, finished_at
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM moved WHERE finished_at IS NOT NULL GROUP BY queue, state
)
SELECT id, queue, priority, state, rank FROM moved

-- name: expire
WITH late AS MATERIALIZED (
    SELECT id FROM {p}job
    WHERE CASE WHEN rank IS NOT NULL THEN expires_at END BETWEEN CAST(:since AS bigint) AND :now
    ORDER BY CASE WHEN rank IS NOT NULL THEN expires_at END
    LIMIT CAST(:limit AS bigint)
    FOR UPDATE SKIP LOCKED
),
ended AS (
    UPDATE {p}job AS j
    SET state = 'failed', reason = 'expired', shelf = 'failed', finished_at = :now, rank = NULL
    FROM unnest(ARRAY(SELECT id FROM late)) AS chosen (id)
    WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
    RETURNING j.id, queue
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, 'failed', count(*) FROM ended GROUP BY queue
)
SELECT id, queue FROM ended

-- name: find_parked
-- Each claim doubles the rest, from half a second to a minute: a job that workers with other code
-- keep parking is not handed to and fro.
SELECT j.id FROM {p}job AS j
WHERE j.shelf = 'parked' AND j.id BETWEEN CAST(:after AS bigint) + 1 AND 4611686018427387904
    AND j.reason = ANY (CAST(:reasons AS text[]))
    AND j.task = ANY (CAST(:task AS text[]))
    AND (
        SELECT coalesce(j.version, 1) BETWEEN takes.oldest AND takes.newest
        FROM unnest(
            CAST(:task AS text[]), CAST(:oldest AS bigint[]), CAST(:newest AS bigint[])
        ) AS takes (task, oldest, newest)
        WHERE takes.task = j.task
        LIMIT 1
    )
    AND (CAST(:anew AS boolean) OR (
        j.started_at <= :now - (CAST(500000 AS bigint) << CAST(least(j.token - 1, 7) AS integer))
        AND coalesce(j.error ->> 'type', '') <> 'UpgradeFailed'
    ))
ORDER BY j.id
LIMIT CAST(:limit AS bigint)

-- name: unpark
-- A job that was to be cancelled when it was parked is cancelled instead.
WITH parked AS MATERIALIZED (
    SELECT id FROM {p}job
    WHERE id = ANY (CAST(:ids AS bigint[])) AND state = 'parked'
    FOR UPDATE SKIP LOCKED
),
back AS (
    UPDATE {p}job AS j
    SET state = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN marks & 1 <> 0 THEN 'blocked'
            ELSE 'queued'
        END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
        END,
        shelf = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN marks & 1 <> 0 THEN 'blocked'
        END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN :now END,
        rank = CASE
            WHEN cancel_requested_at IS NOT NULL OR marks & 1 <> 0 THEN NULL
            ELSE nextval('{p}rank')
        END,
        error = NULL, queued_at = :now
    FROM unnest(ARRAY(SELECT id FROM parked)) AS chosen (id)
    WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
    RETURNING j.id, queue, priority, state, rank
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, 'cancelled', count(*) FROM back WHERE state = 'cancelled' GROUP BY queue
)
SELECT * FROM back

-- name: take_duty
-- One worker at a time walks; it starts where the last walk ended, and nobody waits for it.
WITH free AS MATERIALIZED (
    SELECT name FROM {p}duty
    WHERE name = CAST(:name AS text) AND next_at <= :now
    FOR UPDATE SKIP LOCKED
)
UPDATE {p}duty SET next_at = :now + CAST(:every_us AS bigint)
WHERE name = (SELECT name FROM free)
RETURNING position

-- name: note_position
UPDATE {p}duty SET position = CAST(:position AS bigint)
WHERE name = CAST(:name AS text) RETURNING position

-- name: old_jobs
-- A limit keeps the planner from reading all keys, or all flows, to look a few up.
SELECT
    j.id, j.state, j.created_at, j.finished_at, j.marks, :now AS now,
    coalesce(
        (
            SELECT true FROM {p}held_key AS h
            WHERE j.unique_key IS NOT NULL AND h.job_id = j.id AND h.holds AND h.until > :now
            LIMIT 1
        ),
        (
            SELECT true FROM {p}member AS m JOIN {p}flow AS f ON f.id = m.flow_id
            WHERE j.marks IS NOT NULL AND m.node_id = j.id AND f.state = 'running'
            LIMIT 1
        ),
        false
    ) AS needed
FROM {p}job AS j WHERE j.id > CAST(:after AS bigint) ORDER BY j.id LIMIT CAST(:limit AS bigint)

-- name: log_reach
-- The job in whose log the last of so many lines stands; null when the jobs have fewer.
SELECT CASE WHEN count(*) >= CAST(:limit AS bigint) THEN max(id) END AS reached
FROM (
    SELECT old.id
    FROM unnest(CAST(:ids AS bigint[])) AS old (id)
    CROSS JOIN LATERAL (
        SELECT 1 FROM {p}log AS l WHERE l.job_id = old.id LIMIT CAST(:limit AS bigint)
    ) AS line
    LIMIT CAST(:limit AS bigint)
) AS lines

-- name: prune
-- The guard is repeated: a job that was re-run meanwhile stays.
WITH old AS MATERIALIZED (
    SELECT id, task, queue, state, idempotency_key FROM {p}job
    WHERE id = ANY (CAST(:ids AS bigint[])) AND finished_at IS NOT NULL
    FOR UPDATE
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, -count(*) FROM old GROUP BY queue, state
),
freed AS (
    DELETE FROM {p}idempotency WHERE key = ANY (ARRAY(SELECT idempotency_key FROM old))
),
forgotten AS (
    DELETE FROM {p}attempt WHERE job_id = ANY (ARRAY(SELECT id FROM old))
),
silenced AS (
    DELETE FROM {p}log WHERE job_id = ANY (ARRAY(SELECT id FROM old))
),
unsaid AS (
    DELETE FROM {p}progress WHERE job_id = ANY (ARRAY(SELECT id FROM old))
),
dropped AS (
    DELETE FROM {p}checkpoint WHERE job_id = ANY (ARRAY(SELECT id FROM old))
),
let_go AS (
    DELETE FROM {p}held_key WHERE job_id = ANY (ARRAY(SELECT id FROM old))
),
stood_aside AS (
    DELETE FROM {p}aside AS a USING old WHERE a.task = old.task AND a.job_id = old.id
),
left_gates AS (
    DELETE FROM {p}gate_job WHERE job_id = ANY (ARRAY(SELECT id FROM old))
    RETURNING kind, key, token
),
looked_at AS (
    UPDATE {p}gate AS g SET next_at = 0
    FROM left_gates AS l WHERE g.kind = l.kind AND g.key = l.key AND l.token IS NOT NULL
)
DELETE FROM {p}job AS j USING unnest(ARRAY(SELECT id FROM old)) AS chosen (id)
WHERE j.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904 RETURNING j.id

-- name: prune_workers
-- An ended worker goes when no job row tells of it any more. A claim of a program elsewhere (pid 0)
-- is a row of its own, so there may be one for each job: they go with the first jobs that go.
DELETE FROM {p}worker AS w
WHERE w.ended_at < :now - CASE
        WHEN w.pid = 0 THEN CAST(:claims_age_us AS bigint) ELSE CAST(:age_us AS bigint)
    END
    AND NOT EXISTS (SELECT 1 FROM {p}claim AS c WHERE c.worker_id = w.id)
RETURNING w.id

-- name: rollup
-- Each row is summed up by whoever deletes it, so two at once do no harm.
WITH gone AS (
    DELETE FROM {p}tally RETURNING queue, state, n
),
kept AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, sum(n) FROM gone GROUP BY queue, state
)
SELECT n FROM gone
