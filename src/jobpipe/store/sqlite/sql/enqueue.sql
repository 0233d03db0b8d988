-- name: note_lanes
-- Lanes are only added; a row twice would do no harm.
INSERT INTO {p}lane (queue, priority)
SELECT DISTINCT value ->> 0, value ->> 1
FROM json_each(:rows)
WHERE NOT EXISTS (
    SELECT 1 FROM {p}lane WHERE queue = value ->> 0 AND priority = value ->> 1
)

-- name: count_waiting
-- Bounded: looks at no more rows than the bound that it is compared with.
SELECT
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}job WHERE queue = :queue AND rank IS NOT NULL LIMIT :bound
    )) + (SELECT count(*) FROM (
        SELECT 1 FROM {p}job WHERE queue = :queue AND due_at IS NOT NULL LIMIT :bound
    )) + (SELECT count(*) FROM (
        SELECT 1 FROM {p}job WHERE shelf = 'blocked' AND queue = :queue LIMIT :bound
    )) AS n

-- name: reserve_ids
-- The writer is alone, so the ids after the last one stay free until it commits.
WITH RECURSIVE free (id, n) AS (
    SELECT coalesce(max(seq), 0) + 1, 1 FROM sqlite_sequence WHERE name = '{p}job'
    UNION ALL
    SELECT id + 1, n + 1 FROM free WHERE n < :n
)
SELECT id FROM free

-- name: hold_keys
INSERT INTO {p}idempotency (key, job_id, fingerprint)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows) WHERE true
ON CONFLICT (key) DO NOTHING
RETURNING key, job_id

-- name: read_keys
SELECT k.key, k.job_id, k.fingerprint, j.state, j.created_at
FROM json_each(:keys) AS wanted
CROSS JOIN {p}idempotency AS k ON k.key = wanted.value
JOIN {p}job AS j ON j.id = k.job_id

-- name: release_keys
DELETE FROM {p}idempotency WHERE key IN (SELECT value FROM json_each(:keys)) RETURNING key

-- name: enqueue
-- A job that may run now gets its id as its rank. Whoever wants a waiting key that is held is left
-- out.
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, idempotency_key,
    tags, meta, version, marks, group_key, tenant, unique_key, waiting_key, created_at, run_at,
    expires_at, state, shelf, rank, queued_at, due_at
)
SELECT
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, idempotency_key,
    tags, meta, version, marks, group_key, tenant, unique_key, waiting_key, :now, run_at,
    :now + expires_in_us, state,
    iif(state = 'blocked', state, NULL),
    iif(state = 'queued', id, NULL),
    iif(state = 'queued', :now, NULL),
    iif(state = 'scheduled', min(run_at, coalesce(:now + expires_in_us, run_at)), NULL)
FROM (
    SELECT
        *,
        CASE
            WHEN marks & 8 THEN 'blocked'
            WHEN run_at > :now THEN 'scheduled'
            WHEN marks & 1 THEN 'blocked'
            ELSE 'queued'
        END AS state
    FROM (
        SELECT
            coalesce(value ->> 0, last.id + key + 1) AS id,
            value ->> 1 AS task,
            value ->> 2 AS args,
            value ->> 3 AS queue,
            value ->> 4 AS priority,
            coalesce(value ->> 6, :now + (value ->> 5)) AS run_at,
            value ->> 7 AS expires_in_us,
            value ->> 8 AS max_attempts,
            value ->> 9 AS max_losses,
            value ->> 10 AS timeout_us,
            value ->> 11 AS idempotency_key,
            value ->> 12 AS tags,
            value ->> 13 AS meta,
            value ->> 14 AS version,
            value ->> 15 AS marks,
            value ->> 16 AS group_key,
            value ->> 17 AS tenant,
            value ->> 18 AS unique_key,
            value ->> 19 AS waiting_key
        FROM json_each(:rows)
        CROSS JOIN (
            SELECT coalesce(max(seq), 0) AS id FROM sqlite_sequence WHERE name = '{p}job'
        ) AS last
    )
)
WHERE true
ON CONFLICT (waiting_key) WHERE waiting_key IS NOT NULL DO NOTHING
RETURNING id, state, created_at

-- name: enqueue_now
-- One job of the plainest kind, which is most of them.
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, created_at, queued_at,
    state, rank
)
SELECT
    id, :task, :queue, :priority, :args, :max_attempts, :max_losses, :timeout_us, :now, :now,
    'queued', id
FROM (
    SELECT coalesce(max(seq) + 1, 1) AS id FROM sqlite_sequence WHERE name = '{p}job'
)
RETURNING id, created_at

-- name: enqueue_one
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, idempotency_key,
    tags, meta, version, marks, group_key, tenant, unique_key, created_at, run_at, expires_at,
    state, shelf, rank, queued_at, due_at
)
SELECT
    id, :task, :queue, :priority, :args, :max_attempts, :max_losses, :timeout_us,
    :idempotency_key, :tags, :meta, :version, :marks, :group_key, :tenant, :unique_key, :now,
    run_at, :now + :expires_in_us,
    state,
    iif(state = 'blocked', state, NULL),
    iif(state = 'queued', id, NULL),
    iif(state = 'queued', :now, NULL),
    iif(state = 'scheduled', min(run_at, coalesce(:now + :expires_in_us, run_at)), NULL)
FROM (
    SELECT
        id, run_at,
        CASE
            WHEN :marks & 8 THEN 'blocked'
            WHEN run_at > :now THEN 'scheduled'
            WHEN :marks & 1 THEN 'blocked'
            ELSE 'queued'
        END AS state
    FROM (
        SELECT coalesce(:id, max(seq) + 1, 1) AS id, coalesce(:run_at, :now + :delay_us) AS run_at
        FROM sqlite_sequence WHERE name = '{p}job'
    )
)
RETURNING id, state, created_at

-- name: enqueue_alike
-- Jobs that differ in nothing but their arguments.
INSERT INTO {p}job (
    id, task, queue, priority, args, max_attempts, max_losses, timeout_us, tags, meta,
    created_at, run_at, expires_at, state, rank, queued_at, due_at
)
SELECT
    id, :task, :queue, :priority, args, :max_attempts, :max_losses, :timeout_us, :tags, :meta,
    :now, run_at, :now + :expires_in_us,
    iif(run_at > :now, 'scheduled', 'queued'),
    iif(run_at > :now, NULL, id),
    iif(run_at > :now, NULL, :now),
    iif(run_at > :now, min(run_at, coalesce(:now + :expires_in_us, run_at)), NULL)
FROM (
    SELECT
        last.id + key + 1 AS id, value AS args, coalesce(:run_at, :now + :delay_us) AS run_at
    FROM json_each(:args)
    CROSS JOIN (
        SELECT coalesce(max(seq), 0) AS id FROM sqlite_sequence WHERE name = '{p}job'
    ) AS last
)
RETURNING id, state, created_at
