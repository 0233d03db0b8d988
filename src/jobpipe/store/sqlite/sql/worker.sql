-- name: register
INSERT INTO {p}worker (
    name, host, pid, pid_started, slots, queues, started_at, seen_at, lease_until,
    supervisor_pid, supervisor_started
)
VALUES (
    :name, :host, :pid, :pid_started, :slots, :queues, :now, :now, :now + :lease_us,
    :supervisor_pid, :supervisor_started
)
RETURNING id

-- name: renew
UPDATE {p}worker
SET seen_at = :now, lease_until = :now + :lease_us, frontier = :frontier
WHERE id = :worker AND ended_at IS NULL
RETURNING id

-- name: control
-- All that a worker must hear of when it looks, in one answer. When something falls due next (a start
-- or an expiry) is told in microseconds, below zero when it is overdue. Counters are due for folding
-- only if there is something to fold.
SELECT 'cancel' AS kind, '' AS name, job_id AS a, token AS b
FROM {p}cancel_request WHERE worker_id = :worker
UNION ALL
SELECT DISTINCT 'lane', queue, priority, 0 FROM {p}lane
UNION ALL
SELECT 'paused', name, 0, 0 FROM {p}queue
WHERE paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now)
UNION ALL
SELECT 'limited', name, 0, 0 FROM {p}queue WHERE concurrency IS NOT NULL OR rate IS NOT NULL
UNION ALL
SELECT 'paused_task', task, 0, 0 FROM {p}task_pause
WHERE paused_at IS NOT NULL AND (paused_until IS NULL OR paused_until > :now)
UNION ALL
SELECT 'frontier', frontier, 0, 0
FROM {p}worker WHERE ended_at IS NULL AND frontier IS NOT NULL AND id <> :worker
UNION ALL
SELECT 'worker', json_object(
    'id', id, 'name', name, 'host', host, 'pid', pid, 'pid_started', pid_started,
    'slots', slots, 'queues', queues, 'started_at', started_at,
    'seen_at', seen_at, 'lease_until', lease_until,
    'expired', json(iif(lease_until < :now, 'true', 'false')),
    'supervisor_pid', supervisor_pid, 'supervisor_started', coalesce(supervisor_started, '')
), 0, 0
FROM {p}worker WHERE ended_at IS NULL AND id <> :worker
UNION ALL
SELECT * FROM (
    SELECT 'orphan', '', c.id, 0 FROM {p}claim AS c JOIN {p}worker AS w ON w.id = c.worker_id
    WHERE w.ended_at IS NOT NULL LIMIT 1
)
UNION ALL
SELECT * FROM (SELECT 'parked', '', 0, 0 FROM {p}job WHERE shelf = 'parked' LIMIT 1)
UNION ALL
SELECT * FROM (SELECT 'look', '', 0, 0 FROM {p}look WHERE id >= :looks ORDER BY id LIMIT 1)
UNION ALL
SELECT * FROM (SELECT 'look', '', 0, 0 FROM {p}arrival WHERE id > 0 ORDER BY id LIMIT 1)
UNION ALL
SELECT * FROM (
    SELECT 'gate', '', next_at - :now, 0 FROM {p}gate
    WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
)
UNION ALL
SELECT * FROM (SELECT 'look', '', 0, 0 FROM {p}flow WHERE due_at <= :now LIMIT 1)
UNION ALL
SELECT * FROM (
    SELECT 'look', '', 0, 0 FROM {p}task_pause AS pause
    WHERE (pause.paused_at IS NULL OR pause.paused_until <= :now)
        AND EXISTS (SELECT 1 FROM {p}aside AS a WHERE a.task = pause.task)
    LIMIT 1
)
UNION ALL
SELECT * FROM (SELECT 'operation', '', 0, 0 FROM {p}operation WHERE finished_at IS NULL LIMIT 1)
UNION ALL
SELECT 'due', '', min(at) - :now, :now
FROM (
    SELECT (
        SELECT due_at FROM {p}job WHERE queue = lane.queue AND due_at >= :since
        ORDER BY due_at LIMIT 1
    ) AS at
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
    UNION ALL
    SELECT (
        SELECT expires_at FROM {p}job WHERE rank IS NOT NULL AND expires_at >= :since
        ORDER BY expires_at LIMIT 1
    )
)
UNION ALL
SELECT 'duty', name, 0, 0 FROM {p}duty
WHERE CASE
    WHEN next_at > :now THEN 0
    WHEN name = 'rollup'
    THEN EXISTS (SELECT 1 FROM {p}tally GROUP BY queue, state HAVING count(*) > 1)
    ELSE 1
END
UNION ALL
SELECT 'watch', '', id, 0 FROM {p}watch WHERE until > :now
UNION ALL
SELECT 'ready', j.queue, j.priority, j.rank
FROM json_each(:rows) AS lane
CROSS JOIN {p}job AS j ON j.id = (
    SELECT id FROM {p}job INDEXED BY {p}job_claim
    WHERE queue = lane.value ->> 0 AND priority = lane.value ->> 1 AND rank IS NOT NULL
    ORDER BY rank LIMIT 1
)

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
    j.id, j.token, c.ranks ->> held.key AS rank, c.id AS claim_id, j.task, j.queue, j.attempt,
    j.max_attempts, j.suspect, j.cancel_requested_at IS NOT NULL AS cancel_requested
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE c.worker_id = :worker AND j.token = c.tokens ->> held.key AND j.state = 'running'

-- name: dead_workers
-- Also those that have ended and yet hold records: a claim that came in after the sweep. Whoever
-- sweeps is alive.
SELECT id, name, host, pid
FROM {p}worker
WHERE (ended_at IS NULL
    AND ((lease_until < :now AND NOT :only_known AND id <> :by)
        OR id IN (SELECT value FROM json_each(:ids))))
    OR (ended_at IS NOT NULL AND id IN (SELECT worker_id FROM {p}claim))
ORDER BY id
LIMIT :limit

-- name: end_worker
-- A record with a running job stays for the next sweep: the worker ended without hearing of it.
DELETE FROM {p}claim
WHERE worker_id = :worker AND NOT EXISTS (
    SELECT 1
    FROM json_each(job_ids) AS held
    CROSS JOIN {p}job AS j ON j.id = held.value
    WHERE j.token = tokens ->> held.key AND j.state = 'running'
);
UPDATE {p}worker SET ended_at = coalesce(ended_at, :now) WHERE id = :worker RETURNING id

-- name: take_back
-- One loss each, no attempt charged; at the limit of losses the job fails. Who has gates comes to them
-- again.
INSERT INTO {p}attempt (
    job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
)
SELECT
    j.id, j.token, j.attempt, 'lost', 'lost', w.name, w.host, w.pid, j.started_at, :now, :error
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
LEFT JOIN {p}worker AS w ON w.id = c.worker_id
WHERE c.worker_id = :worker AND j.token = c.tokens ->> held.key AND j.state = 'running';
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, iif(j.cancel_requested_at IS NULL, 'failed', 'cancelled'), count(*)
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE c.worker_id = :worker AND j.token = c.tokens ->> held.key AND j.state = 'running'
    AND (j.cancel_requested_at IS NOT NULL OR j.losses + 1 >= j.max_losses)
GROUP BY 1, 2;
DELETE FROM {p}cancel_request WHERE worker_id = :worker;
UPDATE {p}job
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
    finished_at = iif(cancel_requested_at IS NULL AND losses + 1 < max_losses, NULL, :now),
    rank = CASE
        WHEN cancel_requested_at IS NULL AND losses + 1 < max_losses AND NOT held.is_gated
        THEN held.rank
    END,
    error = :error,
    losses = losses + 1,
    attempt = attempt - 1
FROM (
    SELECT
        h.value AS id, c.tokens ->> h.key AS token, c.ranks ->> h.key AS rank,
        EXISTS (SELECT 1 FROM {p}gate_job WHERE job_id = h.value) AS is_gated
    FROM {p}claim AS c, json_each(c.job_ids) AS h
    WHERE c.worker_id = :worker
) AS held
WHERE {p}job.id = held.id AND {p}job.token = held.token AND {p}job.state = 'running'
RETURNING id, queue, priority, state, rank
