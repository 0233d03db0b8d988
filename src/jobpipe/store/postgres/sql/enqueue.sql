-- name: note_lanes
-- Lanes are only added; a row twice would do no harm, so nobody waits for another's commit.
INSERT INTO {p}lane (queue, priority)
SELECT DISTINCT wanted.queue, wanted.priority
FROM unnest(CAST(:queue AS text[]), CAST(:priority AS smallint[])) AS wanted (queue, priority)
WHERE NOT EXISTS (
    SELECT 1 FROM {p}lane AS known
    WHERE known.queue = wanted.queue AND known.priority = wanted.priority
)

-- name: count_waiting
-- Bounded: looks at no more rows than the bound that it is compared with. The orders keep each
-- part on its index; between two bounds that all rows keep, the planner expects few rows when it
-- knows nothing, and does not sort them.
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}job
        WHERE queue = CAST(:queue AS text) AND rank BETWEEN 0 AND 4611686018427387904
        ORDER BY priority, rank LIMIT CAST(:bound AS bigint)
    ) AS queued) + (SELECT count(*) FROM (
        SELECT 1 FROM {p}job
        WHERE queue = CAST(:queue AS text) AND due_at BETWEEN 0 AND 4611686018427387904
        ORDER BY due_at LIMIT CAST(:bound AS bigint)
    ) AS timed) + (SELECT count(*) FROM (
        SELECT 1 FROM {p}job
        WHERE shelf = 'blocked' AND id BETWEEN 0 AND 4611686018427387904
            AND queue = CAST(:queue AS text)
        ORDER BY id LIMIT CAST(:bound AS bigint)
    ) AS blocked) AS n

-- name: reserve_ids
-- Not always without gaps: others draw from the sequence at the same time.
SELECT nextval('{p}rank') AS id FROM generate_series(1, CAST(:n AS bigint))

-- name: hold_keys
-- Waits for another transaction that holds the same key; keys come sorted, so never in a circle.
INSERT INTO {p}idempotency (key, job_id, fingerprint)
SELECT key, job_id, fingerprint
FROM unnest(
    CAST(:key AS text[]), CAST(:job_id AS bigint[]), CAST(:fingerprint AS text[])
) AS wanted (key, job_id, fingerprint)
ON CONFLICT (key) DO NOTHING
RETURNING key, job_id

-- name: read_keys
SELECT k.key, k.job_id, k.fingerprint, j.state, j.created_at
FROM {p}idempotency AS k
CROSS JOIN LATERAL (
    SELECT state, created_at FROM {p}job WHERE id = k.job_id LIMIT 1
) AS j
WHERE k.key = ANY (CAST(:keys AS text[]))

-- name: release_keys
DELETE FROM {p}idempotency WHERE key = ANY (CAST(:keys AS text[])) RETURNING key

-- name: enqueue
-- A job that may run now gets its id as its rank; ids are drawn in the order of the input. Whoever
-- wants a waiting key that is held is left out. The clock is asked once and not for every row;
-- OFFSET 0 keeps each inner query apart, so that what it finds out is not asked again.
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, idempotency_key,
    tags, meta, version, marks, group_key, tenant, unique_key, waiting_key, created_at, run_at,
    expires_at, state, shelf, rank, queued_at, due_at
)
SELECT
    id, task, queue, priority, CAST(args AS json), max_attempts, max_losses, timeout_us,
    idempotency_key, CAST(tags AS json), CAST(meta AS json), version, marks, group_key, tenant,
    unique_key, waiting_key, now, run_at, expires_at, state,
    CASE WHEN state = 'blocked' THEN state END,
    CASE WHEN state = 'queued' THEN id END,
    CASE WHEN state = 'queued' THEN now END,
    CASE WHEN state = 'scheduled' THEN least(run_at, expires_at) END
FROM (
    SELECT
        *,
        CASE
            WHEN marks & 8 <> 0 THEN 'blocked'
            WHEN run_at > now THEN 'scheduled'
            WHEN marks & 1 <> 0 THEN 'blocked'
            ELSE 'queued'
        END AS state
    FROM (
        SELECT
            coalesce(id, nextval('{p}rank')) AS id, task, queue, priority, args, max_attempts,
            max_losses, timeout_us, idempotency_key, tags, meta, version, marks, group_key,
            tenant, unique_key, waiting_key, now,
            coalesce(run_at, now + delay_us) AS run_at, now + expires_in_us AS expires_at
        FROM (
            SELECT asked.*, (SELECT :now) AS now
            FROM unnest(
                CAST(:id AS bigint[]), CAST(:task AS text[]), CAST(:args AS text[]),
                CAST(:queue AS text[]), CAST(:priority AS smallint[]), CAST(:delay_us AS bigint[]),
                CAST(:run_at AS bigint[]), CAST(:expires_in_us AS bigint[]),
                CAST(:max_attempts AS integer[]), CAST(:max_losses AS integer[]),
                CAST(:timeout_us AS bigint[]), CAST(:idempotency_key AS text[]),
                CAST(:tags AS text[]), CAST(:meta AS text[]), CAST(:version AS integer[]),
                CAST(:marks AS smallint[]), CAST(:group_key AS text[]),
                CAST(:tenant AS text[]), CAST(:unique_key AS text[]),
                CAST(:waiting_key AS text[])
            ) AS asked (
                id, task, args, queue, priority, delay_us, run_at, expires_in_us, max_attempts,
                max_losses, timeout_us, idempotency_key, tags, meta, version, marks, group_key,
                tenant, unique_key, waiting_key
            )
            OFFSET 0
        ) AS timed
        OFFSET 0
    ) AS asked_for
    OFFSET 0
) AS given
ON CONFLICT (waiting_key) WHERE waiting_key IS NOT NULL DO NOTHING
RETURNING id, state, created_at

-- name: enqueue_now
-- One job of the plainest kind, which is most of them: what it does not have costs nothing.
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, created_at, queued_at,
    state, rank
)
SELECT
    id, CAST(:task AS text), CAST(:queue AS text), CAST(:priority AS smallint),
    CAST(:args AS json), CAST(:max_attempts AS integer), CAST(:max_losses AS integer),
    CAST(:timeout_us AS bigint), now, now, 'queued', id
FROM (SELECT nextval('{p}rank') AS id, :now AS now OFFSET 0) AS given
RETURNING id, created_at

-- name: enqueue_one
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, idempotency_key,
    tags, meta, version, marks, group_key, tenant, unique_key, created_at, run_at, expires_at,
    state, shelf, rank, queued_at, due_at
)
SELECT
    id, CAST(:task AS text), CAST(:queue AS text), CAST(:priority AS smallint),
    CAST(:args AS json), CAST(:max_attempts AS integer), CAST(:max_losses AS integer),
    CAST(:timeout_us AS bigint), CAST(:idempotency_key AS text), CAST(:tags AS json),
    CAST(:meta AS json), CAST(:version AS integer), CAST(:marks AS smallint),
    CAST(:group_key AS text), CAST(:tenant AS text), CAST(:unique_key AS text), now, run_at,
    now + CAST(:expires_in_us AS bigint), state,
    CASE WHEN state = 'blocked' THEN state END,
    CASE WHEN state = 'queued' THEN id END,
    CASE WHEN state = 'queued' THEN now END,
    CASE WHEN state = 'scheduled' THEN least(run_at, now + CAST(:expires_in_us AS bigint)) END
FROM (
    SELECT
        id, now, run_at,
        CASE
            WHEN CAST(:marks AS smallint) & 8 <> 0 THEN 'blocked'
            WHEN run_at > now THEN 'scheduled'
            WHEN CAST(:marks AS smallint) & 1 <> 0 THEN 'blocked'
            ELSE 'queued'
        END AS state
    FROM (
        SELECT id, now, coalesce(CAST(:run_at AS bigint), now + CAST(:delay_us AS bigint)) AS run_at
        FROM (
            SELECT coalesce(CAST(:id AS bigint), nextval('{p}rank')) AS id, :now AS now
            OFFSET 0
        ) AS timed
    ) AS asked
    OFFSET 0
) AS given
RETURNING id, state, created_at

-- name: enqueue_alike
-- Jobs that differ in nothing but their arguments: one array instead of one a column, and one row
-- for an answer, since each row costs both sides. They start together, so one state is all.
WITH stored AS (
    INSERT INTO {p}job (
        id, task, queue, priority, args, max_attempts, max_losses, timeout_us, tags, meta,
        created_at, run_at, expires_at, state, rank, queued_at, due_at
    )
    SELECT
        id, CAST(:task AS text), CAST(:queue AS text), CAST(:priority AS smallint),
        CAST(args AS json), CAST(:max_attempts AS integer), CAST(:max_losses AS integer),
        CAST(:timeout_us AS bigint), CAST(:tags AS json), CAST(:meta AS json),
        now, run_at, now + CAST(:expires_in_us AS bigint),
        CASE WHEN run_at > now THEN 'scheduled' ELSE 'queued' END,
        CASE WHEN run_at > now THEN NULL ELSE id END,
        CASE WHEN run_at > now THEN NULL ELSE now END,
        CASE WHEN run_at > now THEN least(run_at, now + CAST(:expires_in_us AS bigint)) END
    FROM (
        SELECT
            nextval('{p}rank') AS id, args, now,
            coalesce(CAST(:run_at AS bigint), now + CAST(:delay_us AS bigint)) AS run_at
        FROM (
            SELECT args, (SELECT :now) AS now
            FROM unnest(CAST(:args AS text[])) AS asked (args)
            OFFSET 0
        ) AS timed
        OFFSET 0
    ) AS given
    RETURNING id, state, created_at
)
SELECT array_agg(id) AS id, min(state) AS state, min(created_at) AS created_at FROM stored
