-- name: lock_task_pause
SELECT task, paused_at, paused_reason, paused_by, paused_until, :now AS now
FROM {p}task_pause WHERE task = :task

-- name: task_pause
SELECT task, paused_at, paused_reason, paused_by, paused_until, :now AS now
FROM {p}task_pause WHERE task = :task

-- name: task_pauses
SELECT
    p.task, p.paused_at, p.paused_reason, p.paused_by, p.paused_until, :now AS now,
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}aside AS a WHERE a.task = p.task LIMIT :bound
    )) AS waiting
FROM {p}task_pause AS p
ORDER BY p.task

-- name: pause_task
INSERT INTO {p}task_pause (task, paused_at, paused_reason, paused_by, paused_until)
VALUES (:task, :now, :reason, :by, :until)
ON CONFLICT (task) DO UPDATE
SET paused_at = :now, paused_reason = :reason, paused_by = :by, paused_until = :until
RETURNING task

-- name: resume_task
UPDATE {p}task_pause
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL
WHERE task = :task RETURNING task

-- name: set_aside
-- Uncharged, like give_back, but not into the queue. Whether the task is paused is judged here: a
-- worker may not have heard of its end.
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, 'cancelled', count(*)
FROM json_each(:rows) AS given
CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
CROSS JOIN {p}task_pause AS p ON p.task = j.task
WHERE j.token = given.value ->> 1 AND j.state = 'running' AND j.cancel_requested_at IS NOT NULL
    AND p.paused_at IS NOT NULL AND (p.paused_until IS NULL OR p.paused_until > :now)
GROUP BY j.queue;
INSERT INTO {p}aside (task, job_id)
SELECT j.task, j.id
FROM json_each(:rows) AS given
CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
CROSS JOIN {p}task_pause AS p ON p.task = j.task
WHERE j.token = given.value ->> 1 AND j.state = 'running' AND j.cancel_requested_at IS NULL
    AND p.paused_at IS NOT NULL AND (p.paused_until IS NULL OR p.paused_until > :now)
ON CONFLICT (task, job_id) DO NOTHING;
DELETE FROM {p}cancel_request
WHERE (job_id, token) IN (
    SELECT j.id, j.token
    FROM json_each(:rows) AS given
    CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
    CROSS JOIN {p}task_pause AS p ON p.task = j.task
    WHERE j.token = given.value ->> 1 AND j.state = 'running'
        AND p.paused_at IS NOT NULL AND (p.paused_until IS NULL OR p.paused_until > :now)
);
UPDATE {p}job
SET state = iif(cancel_requested_at IS NULL, 'blocked', 'cancelled'),
    reason = iif(cancel_requested_at IS NULL, NULL, coalesce(cancel_reason, 'by_user')),
    shelf = iif(cancel_requested_at IS NULL, 'blocked', 'cancelled'),
    finished_at = iif(cancel_requested_at IS NULL, NULL, :now),
    blocked_on = iif(cancel_requested_at IS NULL, 'task:' || {p}job.task, NULL),
    attempt = attempt - 1, worker_id = NULL, started_at = NULL, queued_at = NULL
FROM (SELECT value ->> 0 AS id, value ->> 1 AS token FROM json_each(:rows)) AS given
CROSS JOIN {p}task_pause AS p
WHERE {p}job.id = given.id AND {p}job.token = given.token AND {p}job.state = 'running'
    AND p.task = {p}job.task
    AND p.paused_at IS NOT NULL AND (p.paused_until IS NULL OR p.paused_until > :now)
RETURNING id, queue, state

-- name: come_back
-- Those whose pause is over, the oldest of each task first.
DELETE FROM {p}aside
WHERE (task, job_id) IN (
    SELECT a.task, a.job_id
    FROM {p}task_pause AS p
    CROSS JOIN {p}aside AS a ON a.task = p.task
    WHERE p.paused_at IS NULL OR p.paused_until <= :now
    ORDER BY a.task, a.job_id
    LIMIT :limit
)
RETURNING job_id

-- name: send_to_gate
-- Jobs that were queued without passing the gates of their queue, since nobody knew of its limits:
-- uncharged, they wait at them from now on. 1: gated; 2: starts count, too.
INSERT INTO {p}tally (queue, state, n)
SELECT j.queue, 'cancelled', count(*)
FROM json_each(:rows) AS given
CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
CROSS JOIN {p}queue AS q ON q.name = j.queue
WHERE j.token = given.value ->> 1 AND j.state = 'running' AND j.cancel_requested_at IS NOT NULL
    AND ((q.concurrency IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.job_id = j.id AND w.kind = 'concurrency' AND w.key = 'queue:' || j.queue
    )) OR (q.rate IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.job_id = j.id AND w.kind = 'rate' AND w.key = 'queue:' || j.queue
    )))
GROUP BY j.queue;
UPDATE {p}job
SET state = iif(cancel_requested_at IS NULL, 'blocked', 'cancelled'),
    reason = iif(cancel_requested_at IS NULL, NULL, coalesce(cancel_reason, 'by_user')),
    shelf = iif(cancel_requested_at IS NULL, 'blocked', 'cancelled'),
    finished_at = iif(cancel_requested_at IS NULL, NULL, :now),
    marks = coalesce(marks, 0) | iif(q.rate IS NULL, 1, 3),
    attempt = attempt - 1, worker_id = NULL, started_at = NULL, queued_at = NULL
FROM (SELECT value ->> 0 AS id, value ->> 1 AS token FROM json_each(:rows)) AS given
CROSS JOIN {p}queue AS q
WHERE {p}job.id = given.id AND {p}job.token = given.token AND {p}job.state = 'running'
    AND q.name = {p}job.queue
    AND ((q.concurrency IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.job_id = {p}job.id AND w.kind = 'concurrency' AND w.key = 'queue:' || {p}job.queue
    )) OR (q.rate IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.job_id = {p}job.id AND w.kind = 'rate' AND w.key = 'queue:' || {p}job.queue
    )))
RETURNING id, queue, state;
DELETE FROM {p}cancel_request
WHERE (job_id, token) IN (
    SELECT j.id, j.token
    FROM json_each(:rows) AS given
    CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
    WHERE j.token = given.value ->> 1 AND j.state = 'cancelled'
);
INSERT INTO {p}gate_job (job_id, kind, key, place)
SELECT j.id, kinds.kind, 'queue:' || j.queue, j.id
FROM json_each(:rows) AS given
CROSS JOIN {p}job AS j ON j.id = given.value ->> 0
CROSS JOIN {p}queue AS q ON q.name = j.queue
CROSS JOIN (SELECT 'concurrency' AS kind UNION ALL SELECT 'rate') AS kinds
WHERE j.token = given.value ->> 1 AND j.state = 'blocked'
    AND CASE kinds.kind WHEN 'rate' THEN q.rate IS NOT NULL ELSE q.concurrency IS NOT NULL END
ON CONFLICT (job_id, kind, key) DO NOTHING
