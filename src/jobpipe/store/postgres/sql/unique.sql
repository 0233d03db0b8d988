-- name: hold_waiting
-- Who holds these waiting keys. Locked, so that nobody starts them before the caller has committed
-- what they may be about; keys come sorted, so never in a circle. Blocked ones are not: whoever lets
-- jobs in must not wait for a caller.
WITH held AS MATERIALIZED (
    SELECT waiting_key AS key, id, task, state, created_at
    FROM {p}job
    WHERE waiting_key = ANY (CAST(:keys AS text[])) AND state <> 'blocked'
    ORDER BY waiting_key
    FOR UPDATE
)
SELECT key, id, task, state, created_at FROM held
UNION ALL
SELECT waiting_key, id, task, state, created_at
FROM {p}job
WHERE waiting_key = ANY (CAST(:keys AS text[])) AND state = 'blocked'

-- name: take_waiting_key
SELECT 1 AS taken WHERE {p}take_waiting_key(CAST(:id AS bigint))

-- name: hold_unique_keys
-- Waits for another transaction that takes the same key; keys come sorted, so never in a circle.
INSERT INTO {p}held_key (job_id, key, for_us, until, holds)
SELECT job_id, key, for_us, :now + for_us, true
FROM unnest(
    CAST(:job_id AS bigint[]), CAST(:key AS text[]), CAST(:for_us AS bigint[])
) AS wanted (job_id, key, for_us)
ON CONFLICT (key) WHERE holds DO NOTHING
RETURNING job_id

-- name: read_held_keys
SELECT h.key, h.until, :now AS now, j.id, j.task, j.state, j.created_at
FROM {p}held_key AS h
CROSS JOIN LATERAL (
    SELECT id, task, state, created_at FROM {p}job WHERE id = h.job_id LIMIT 1
) AS j
WHERE h.key = ANY (CAST(:keys AS text[])) AND h.holds

-- name: free_held_keys
-- Judged again, since a job may have been re-run meanwhile: its row is another one then, or its
-- state. Locked in one order.
WITH over AS MATERIALIZED (
    SELECT held.job_id
    FROM unnest(CAST(:ids AS bigint[])) AS wanted (id)
    CROSS JOIN LATERAL (
        SELECT finished_at FROM {p}job WHERE id = wanted.id LIMIT 1
    ) AS j
    CROSS JOIN LATERAL (
        SELECT h.job_id
        FROM {p}held_key AS h
        WHERE h.job_id = wanted.id AND h.holds
            AND CASE WHEN h.until IS NULL THEN j.finished_at IS NOT NULL ELSE h.until <= :now END
        LIMIT 1
        FOR UPDATE
    ) AS held
)
UPDATE {p}held_key AS h SET holds = false
FROM unnest(ARRAY(SELECT job_id FROM over)) AS chosen (id)
WHERE h.job_id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
RETURNING h.job_id

-- name: own_held_key
SELECT key FROM {p}held_key WHERE job_id = CAST(:id AS bigint)

-- name: take_held_key
SELECT 1 AS taken WHERE {p}take_held_key(CAST(:id AS bigint), :now)

-- name: replace_waiting
-- Arguments, time and time to live are those of the request; all else stays as it is. Who waits for
-- other jobs looks at his time when they have ended.
WITH given AS MATERIALIZED (
    SELECT
        id, args, version, coalesce(run_at, now + delay_us) AS run_at,
        now + expires_in_us AS expires_at, now
    FROM (
        SELECT wanted.*, (SELECT :now) AS now
        FROM unnest(
            CAST(:id AS bigint[]), CAST(:args AS text[]), CAST(:version AS integer[]),
            CAST(:delay_us AS bigint[]), CAST(:run_at AS bigint[]),
            CAST(:expires_in_us AS bigint[])
        ) AS wanted (id, args, version, delay_us, run_at, expires_in_us)
        OFFSET 0
    ) AS timed
    WHERE id BETWEEN 0 AND 4611686018427387904
),
found AS MATERIALIZED (
    SELECT
        given.*, j.state AS before,
        CASE
            WHEN j.state = 'blocked' AND j.marks & 8 <> 0 THEN 'blocked'
            WHEN given.run_at > given.now THEN 'scheduled'
            WHEN j.state = 'scheduled' AND j.marks & 1 <> 0 THEN 'blocked'
            WHEN j.state = 'scheduled' THEN 'queued'
            ELSE j.state
        END AS after
    FROM given JOIN {p}job AS j ON j.id = given.id
    WHERE j.state IN ('blocked', 'scheduled', 'queued')
    ORDER BY j.id
    FOR UPDATE OF j
)
UPDATE {p}job AS j
SET args = CAST(found.args AS json), version = found.version, run_at = found.run_at,
    expires_at = found.expires_at, state = found.after,
    shelf = CASE WHEN found.after = 'blocked' THEN found.after END,
    due_at = CASE
        WHEN found.after = 'scheduled' THEN least(found.run_at, found.expires_at)
    END,
    queued_at = CASE
        WHEN found.after <> 'queued' THEN NULL
        WHEN found.before = 'queued' THEN j.queued_at
        ELSE found.now
    END,
    rank = CASE
        WHEN found.after <> 'queued' THEN NULL
        WHEN found.before = 'queued' THEN j.rank
        ELSE nextval('{p}rank')
    END,
    blocked_on = CASE WHEN found.after = 'blocked' THEN j.blocked_on END
FROM found
WHERE j.id = found.id
RETURNING j.id, j.state, j.queue, j.created_at
