-- name: register
INSERT INTO {p}worker (
    name, host, pid, pid_started, slots, queues, started_at, seen_at, lease_until,
    supervisor_pid, supervisor_started
)
VALUES (
    CAST(:name AS text), CAST(:host AS text), CAST(:pid AS bigint), CAST(:pid_started AS text),
    CAST(:slots AS integer), CAST(:queues AS json), :now, :now, :now + CAST(:lease_us AS bigint),
    CAST(:supervisor_pid AS bigint), CAST(:supervisor_started AS text)
)
RETURNING id

-- name: renew
UPDATE {p}worker
SET seen_at = :now, lease_until = :now + CAST(:lease_us AS bigint),
    frontier = CAST(:frontier AS json)
WHERE id = CAST(:worker AS bigint) AND ended_at IS NULL
RETURNING id

-- name: control
-- All that a worker must hear of when it looks, in one answer. When something falls due next (a start
-- or an expiry) is told in microseconds, below zero when it is overdue: that walk starts at :since,
-- beyond the entries of what was moved, which a pinned snapshot keeps; what expires is asked for by
-- the expression of its index, which the claim index cannot answer. Counters are due for folding only
-- if there is something to fold. The order by rank makes the last part a walk of the claim index.
SELECT 'cancel' AS kind, '' AS name, job_id AS a, token AS b
FROM {p}cancel_request WHERE worker_id = CAST(:worker AS bigint)
UNION ALL
SELECT DISTINCT 'lane', queue, CAST(priority AS bigint), CAST(0 AS bigint) FROM {p}lane
UNION ALL
SELECT 'paused', name, 0, 0 FROM {p}queue
WHERE paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now)
UNION ALL
SELECT 'limited', name, 0, 0 FROM {p}queue WHERE concurrency IS NOT NULL OR rate IS NOT NULL
UNION ALL
SELECT 'paused_task', task, 0, 0 FROM {p}task_pause
WHERE paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now)
UNION ALL
SELECT 'frontier', CAST(frontier AS text), 0, 0
FROM {p}worker
WHERE ended_at IS NULL AND frontier IS NOT NULL AND id <> CAST(:worker AS bigint)
UNION ALL
SELECT 'worker', CAST(json_build_object(
    'id', id, 'name', name, 'host', host, 'pid', pid, 'pid_started', pid_started,
    'slots', slots, 'queues', CAST(queues AS text), 'started_at', started_at,
    'seen_at', seen_at, 'lease_until', lease_until, 'expired', lease_until < :now,
    'supervisor_pid', supervisor_pid, 'supervisor_started', coalesce(supervisor_started, '')
) AS text), 0, 0
FROM {p}worker WHERE ended_at IS NULL AND id <> CAST(:worker AS bigint)
UNION ALL
(
    SELECT 'orphan', '', c.id, 0 FROM {p}claim AS c JOIN {p}worker AS w ON w.id = c.worker_id
    WHERE w.ended_at IS NOT NULL LIMIT 1
)
UNION ALL
(SELECT 'parked', '', 0, 0 FROM {p}job WHERE shelf = 'parked' LIMIT 1)
UNION ALL
(SELECT 'look', '', 0, 0 FROM {p}look WHERE id >= CAST(:looks AS bigint) ORDER BY id LIMIT 1)
UNION ALL
(SELECT 'look', '', 0, 0 FROM {p}arrival WHERE id > 0 ORDER BY id LIMIT 1)
UNION ALL
(
    SELECT 'gate', '', next_at - :now, 0 FROM {p}gate
    WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
)
UNION ALL
(SELECT 'look', '', 0, 0 FROM {p}flow WHERE due_at BETWEEN 0 AND :now LIMIT 1)
UNION ALL
(
    SELECT 'look', '', 0, 0 FROM {p}task_pause AS pause
    WHERE (pause.paused_at IS NULL OR pause.paused_until <= :now)
        AND EXISTS (SELECT 1 FROM {p}aside AS a WHERE a.task = pause.task)
    LIMIT 1
)
UNION ALL
(SELECT 'operation', '', 0, 0 FROM {p}operation WHERE finished_at IS NULL LIMIT 1)
UNION ALL
SELECT 'due', '', min(at) - :now, :now
FROM (
    SELECT (
        SELECT due_at FROM {p}job WHERE queue = lane.queue AND due_at >= CAST(:since AS bigint)
        ORDER BY due_at LIMIT 1
    ) AS at
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
    UNION ALL
    SELECT (
        SELECT expires_at FROM {p}job
        WHERE CASE WHEN rank IS NOT NULL THEN expires_at END >= CAST(:since AS bigint)
        ORDER BY CASE WHEN rank IS NOT NULL THEN expires_at END LIMIT 1
    )
) AS next
UNION ALL
SELECT 'duty', name, 0, 0 FROM {p}duty
WHERE CASE
    WHEN next_at > :now THEN false
    WHEN name = 'rollup'
    THEN EXISTS (SELECT 1 FROM {p}tally GROUP BY queue, state HAVING count(*) > 1)
    ELSE true
END
UNION ALL
SELECT 'watch', '', id, 0 FROM {p}watch WHERE until > :now
UNION ALL
SELECT 'ready', lane.queue, CAST(lane.priority AS bigint), first.rank
FROM unnest(
    CAST(:queue AS text[]), CAST(:priority AS smallint[]), CAST(:after AS bigint[])
) AS lane (queue, priority, after)
CROSS JOIN LATERAL (
    SELECT j.rank FROM {p}job AS j
    WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.rank > lane.after
    ORDER BY j.rank
    LIMIT 1
) AS first

-- name: workers
SELECT
    id, name, host, pid, pid_started, slots, queues, started_at, seen_at, lease_until, ended_at,
    supervisor_pid, supervisor_started, lease_until < :now AS expired
FROM {p}worker
WHERE ended_at IS NULL
ORDER BY id

-- name: inventory
-- Like held, with what a judgement needs.
SELECT
    held.id, held.token, held.rank, c.id AS claim_id, found.task, found.queue, found.attempt,
    found.max_attempts, found.suspect, found.cancel_requested_at IS NOT NULL AS cancel_requested
FROM {p}claim AS c
CROSS JOIN LATERAL unnest(c.job_ids, c.tokens, c.ranks) AS held (id, token, rank)
CROSS JOIN LATERAL (
    SELECT
        j.token, j.state, j.task, j.queue, j.attempt, j.max_attempts, j.suspect, j.cancel_requested_at
    FROM {p}job AS j WHERE j.id = held.id LIMIT 1
) AS found
WHERE c.worker_id = CAST(:worker AS bigint)
    AND found.token = held.token AND found.state = 'running'

-- name: dead_workers
-- Also those that have ended and yet hold records: a claim that came in after the sweep. A worker
-- that is renewing itself, or is swept by another, is skipped; whoever sweeps is alive.
SELECT id, name, host, pid
FROM {p}worker
WHERE (ended_at IS NULL
    AND ((lease_until < :now AND NOT CAST(:only_known AS boolean) AND id <> CAST(:by AS bigint))
        OR id = ANY (CAST(:ids AS bigint[]))))
    OR (ended_at IS NOT NULL AND id IN (SELECT worker_id FROM {p}claim))
ORDER BY id
LIMIT CAST(:limit AS bigint)
FOR UPDATE SKIP LOCKED

-- name: end_worker
-- A record with a running job stays for the next sweep: its claim was committed after the jobs of
-- this worker were taken back.
WITH forgotten AS (
    DELETE FROM {p}claim AS c
    WHERE c.worker_id = CAST(:worker AS bigint) AND NOT EXISTS (
        SELECT 1
        FROM unnest(c.job_ids, c.tokens) AS held (id, token)
        CROSS JOIN LATERAL (
            SELECT j.token, j.state FROM {p}job AS j WHERE j.id = held.id LIMIT 1
        ) AS found
        WHERE found.token = held.token AND found.state = 'running'
    )
)
UPDATE {p}worker SET ended_at = coalesce(ended_at, :now)
WHERE id = CAST(:worker AS bigint) RETURNING id

-- name: take_back
-- One loss each, no attempt charged; at the limit of losses the job fails. Who has gates comes to them
-- again. CASE hides the guard from the planner, as in finish.
WITH held AS MATERIALIZED (
    SELECT h.id, h.token, h.rank, g.job_id IS NOT NULL AS is_gated
    FROM {p}claim AS c
    CROSS JOIN LATERAL unnest(c.job_ids, c.tokens, c.ranks) AS h (id, token, rank)
    LEFT JOIN LATERAL (
        SELECT job_id FROM {p}gate_job WHERE job_id = h.id LIMIT 1
    ) AS g ON true
    WHERE c.worker_id = CAST(:worker AS bigint)
    ORDER BY h.id
),
back AS (
    UPDATE {p}job AS j
    SET state = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN losses + 1 >= max_losses THEN 'failed'
            WHEN held.is_gated THEN 'blocked'
            ELSE 'queued'
        END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
            WHEN losses + 1 >= max_losses THEN 'lost'
        END,
        shelf = CASE
            WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
            WHEN losses + 1 >= max_losses THEN 'failed'
            WHEN held.is_gated THEN 'blocked'
        END,
        finished_at = CASE
            WHEN cancel_requested_at IS NOT NULL OR losses + 1 >= max_losses THEN :now
        END,
        rank = CASE
            WHEN cancel_requested_at IS NULL AND losses + 1 < max_losses AND NOT held.is_gated
            THEN held.rank
        END,
        error = CAST(:error AS json),
        losses = losses + 1,
        attempt = attempt - 1
    FROM held
    WHERE j.id = held.id AND j.token = held.token
        AND CASE j.state WHEN 'running' THEN true ELSE false END
    RETURNING
        j.id, j.token, j.queue, j.priority, j.state, j.rank, j.started_at,
        j.attempt + 1 AS number
),
told AS (
    INSERT INTO {p}attempt (
        job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
    )
    SELECT
        back.id, back.token, back.number, 'lost', 'lost', w.name, w.host, w.pid,
        back.started_at, :now, CAST(:error AS json)
    FROM back LEFT JOIN {p}worker AS w ON w.id = CAST(:worker AS bigint)
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM back
    WHERE state IN ('failed', 'cancelled') GROUP BY queue, state
),
heard AS (
    DELETE FROM {p}cancel_request WHERE worker_id = CAST(:worker AS bigint)
)
SELECT id, queue, priority, state, rank FROM back
