-- name: lock_task_pause
SELECT task, paused_at, paused_reason, paused_by, paused_until, :now AS now
FROM {p}task_pause WHERE task = CAST(:task AS text) FOR UPDATE

-- name: task_pause
SELECT task, paused_at, paused_reason, paused_by, paused_until, :now AS now
FROM {p}task_pause WHERE task = CAST(:task AS text)

-- name: task_pauses
SELECT
    p.task, p.paused_at, p.paused_reason, p.paused_by, p.paused_until, :now AS now,
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}aside AS a WHERE a.task = p.task LIMIT CAST(:bound AS bigint)
    ) AS found) AS waiting
FROM {p}task_pause AS p
ORDER BY p.task

-- name: pause_task
INSERT INTO {p}task_pause (task, paused_at, paused_reason, paused_by, paused_until)
VALUES (
    CAST(:task AS text), :now, CAST(:reason AS text), CAST(:by AS text), CAST(:until AS bigint)
)
ON CONFLICT (task) DO UPDATE
SET paused_at = excluded.paused_at, paused_reason = excluded.paused_reason,
    paused_by = excluded.paused_by, paused_until = excluded.paused_until
RETURNING task

-- name: resume_task
UPDATE {p}task_pause
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL
WHERE task = CAST(:task AS text) RETURNING task

-- name: set_aside
-- Uncharged, like give_back, but not into the queue. Whether the task is paused is judged here: a
-- worker may not have heard of its end. CASE hides the guard from the planner, as in finish.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:id AS bigint[]), CAST(:token AS bigint[])) AS g (id, token)
    WHERE g.id BETWEEN 0 AND 4611686018427387904
),
moved AS (
    UPDATE {p}job AS j
    SET state = CASE WHEN cancel_requested_at IS NULL THEN 'blocked' ELSE 'cancelled' END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
        END,
        shelf = CASE WHEN cancel_requested_at IS NULL THEN 'blocked' ELSE 'cancelled' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN :now END,
        blocked_on = CASE WHEN cancel_requested_at IS NULL THEN 'task:' || j.task END,
        attempt = attempt - 1, worker_id = NULL, started_at = NULL, queued_at = NULL
    FROM given
    WHERE j.id = given.id AND j.token = given.token
        AND CASE j.state WHEN 'running' THEN true ELSE false END
        AND EXISTS (
            SELECT 1 FROM {p}task_pause AS p
            WHERE p.task = j.task AND p.paused_at IS NOT NULL
                AND (p.paused_until IS NULL OR p.paused_until > :now)
        )
    RETURNING j.id, j.token, j.task, j.queue, j.state
),
noted AS (
    INSERT INTO {p}aside (task, job_id)
    SELECT task, id FROM moved WHERE state = 'blocked'
    ON CONFLICT (task, job_id) DO NOTHING
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM moved WHERE state = 'cancelled' GROUP BY queue, state
),
heard AS (
    DELETE FROM {p}cancel_request AS r USING moved
    WHERE r.job_id = moved.id AND r.token = moved.token
)
SELECT id, queue, state FROM moved

-- name: come_back
-- Those whose pause is over, the oldest of each task first.
WITH over AS MATERIALIZED (
    SELECT found.task, found.job_id
    FROM {p}task_pause AS p
    CROSS JOIN LATERAL (
        SELECT a.task, a.job_id FROM {p}aside AS a WHERE a.task = p.task
        ORDER BY a.job_id LIMIT CAST(:limit AS bigint)
    ) AS found
    WHERE p.paused_at IS NULL OR p.paused_until <= :now
    LIMIT CAST(:limit AS bigint)
)
DELETE FROM {p}aside AS a USING over
WHERE a.task = over.task AND a.job_id = over.job_id
RETURNING a.job_id

-- name: send_to_gate
-- Jobs that were queued without passing the gates of their queue, since nobody knew of its limits:
-- uncharged, they wait at them from now on. 1: gated; 2: starts count, too.
WITH given AS MATERIALIZED (
    SELECT * FROM unnest(CAST(:id AS bigint[]), CAST(:token AS bigint[])) AS g (id, token)
    WHERE g.id BETWEEN 0 AND 4611686018427387904
),
limits AS MATERIALIZED (
    SELECT name, concurrency, rate FROM {p}queue
    WHERE concurrency IS NOT NULL OR rate IS NOT NULL
),
wanted AS MATERIALIZED (
    SELECT j.id, given.token, gate.kind, 'queue:' || j.queue AS key, limits.rate
    FROM given
    CROSS JOIN LATERAL (
        SELECT job.id, job.queue, job.token FROM {p}job AS job WHERE job.id = given.id LIMIT 1
    ) AS j
    JOIN limits ON limits.name = j.queue
    CROSS JOIN (VALUES ('concurrency'), ('rate')) AS gate (kind)
    WHERE j.token = given.token
        AND CASE gate.kind
            WHEN 'rate' THEN limits.rate IS NOT NULL ELSE limits.concurrency IS NOT NULL
        END
        AND NOT EXISTS (
            SELECT 1 FROM {p}gate_job AS w
            WHERE w.job_id = given.id AND w.kind = gate.kind AND w.key = 'queue:' || j.queue
        )
),
moved AS (
    UPDATE {p}job AS j
    SET state = CASE WHEN cancel_requested_at IS NULL THEN 'blocked' ELSE 'cancelled' END,
        reason = CASE
            WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
        END,
        shelf = CASE WHEN cancel_requested_at IS NULL THEN 'blocked' ELSE 'cancelled' END,
        finished_at = CASE WHEN cancel_requested_at IS NOT NULL THEN :now END,
        marks = coalesce(marks, 0) | CASE WHEN chosen.rate IS NULL THEN 1 ELSE 3 END,
        attempt = attempt - 1, worker_id = NULL, started_at = NULL, queued_at = NULL
    FROM (SELECT id, token, min(rate) AS rate FROM wanted GROUP BY id, token) AS chosen
    WHERE j.id = chosen.id AND j.token = chosen.token
        AND CASE j.state WHEN 'running' THEN true ELSE false END
    RETURNING j.id, j.token, j.queue, j.state
),
noted AS (
    INSERT INTO {p}gate_job (job_id, kind, key, place)
    SELECT wanted.id, wanted.kind, wanted.key, wanted.id
    FROM wanted JOIN moved ON moved.id = wanted.id
    WHERE moved.state = 'blocked'
    ON CONFLICT (job_id, kind, key) DO NOTHING
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, count(*) FROM moved WHERE state = 'cancelled' GROUP BY queue, state
),
heard AS (
    DELETE FROM {p}cancel_request AS r USING moved
    WHERE r.job_id = moved.id AND r.token = moved.token
)
SELECT id, queue, state FROM moved
