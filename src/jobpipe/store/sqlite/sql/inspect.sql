-- name: waiting_heads
-- Per queue how long its first job waits, and how late its first timed job is: a probe a lane.
SELECT queue, max(waited_us) AS waited_us, NULL AS late_us
FROM (
    SELECT lane.queue, (
        SELECT :now - coalesce(j.queued_at, j.created_at)
        FROM {p}job AS j INDEXED BY {p}job_claim
        WHERE j.queue = lane.queue AND j.priority = lane.priority AND j.rank IS NOT NULL
        ORDER BY j.rank LIMIT 1
    ) AS waited_us
    FROM (SELECT DISTINCT queue, priority FROM {p}lane) AS lane
)
WHERE waited_us IS NOT NULL
GROUP BY queue
UNION ALL
SELECT queue, NULL, late_us
FROM (
    SELECT lane.queue, (
        SELECT :now - j.due_at
        FROM {p}job AS j INDEXED BY {p}job_due
        WHERE j.queue = lane.queue AND j.due_at IS NOT NULL
        ORDER BY j.due_at LIMIT 1
    ) AS late_us
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
)
WHERE late_us IS NOT NULL

-- name: busy
-- How many running jobs each worker holds: the claim records, as in counts.
SELECT c.worker_id AS worker, count(*) AS n
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE j.token = c.tokens ->> held.key AND j.state = 'running'
GROUP BY c.worker_id

-- name: task_runs
-- A sample: the newest jobs, and what the workers hold or have just ended. Whom a cancel or its time
-- ended may have waited for long.
SELECT
    task, count(*) AS runs, count(*) FILTER (WHERE state = 'running') AS running,
    CAST(avg(took_us) AS INTEGER) AS mean_us, max(took_us) AS longest_us
FROM (
    SELECT id, task, state, coalesce(finished_at, :now) - started_at AS took_us
    FROM (
        SELECT id, task, state, reason, started_at, finished_at FROM {p}job
        ORDER BY id DESC LIMIT :scan
    )
    WHERE started_at IS NOT NULL AND state <> 'cancelled' AND reason IS NOT 'expired'
        AND (state = 'running' OR finished_at >= :now - :span_us)
    UNION
    SELECT j.id, j.task, j.state, coalesce(j.finished_at, :now) - j.started_at
    FROM (
        SELECT held.value AS id
        FROM {p}claim AS c, json_each(c.job_ids) AS held LIMIT :scan
    ) AS held
    CROSS JOIN {p}job AS j ON j.id = held.id
    WHERE j.started_at IS NOT NULL AND j.state <> 'cancelled' AND j.reason IS NOT 'expired'
        AND (j.state = 'running' OR j.finished_at >= :now - :span_us)
)
GROUP BY task

-- name: task_failures
-- Of the newest failed jobs those that failed of late, and jobs that wait for another attempt.
SELECT
    task, count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'retrying') AS retrying
FROM (
    SELECT task, state FROM (
        SELECT task, state, finished_at FROM {p}job WHERE shelf = 'failed'
        ORDER BY id DESC LIMIT :scan
    )
    WHERE finished_at >= :now - :span_us
    UNION ALL
    SELECT task, state FROM (
        SELECT task, state FROM {p}job WHERE due_at IS NOT NULL LIMIT :scan
    )
    WHERE state = 'retrying'
)
GROUP BY task

-- name: waiting_tasks
SELECT task, count(*) AS n
FROM (SELECT task FROM {p}job WHERE rank IS NOT NULL LIMIT :bound)
GROUP BY task
ORDER BY task

-- name: parked_tasks
SELECT task, reason, count(*) AS n
FROM (SELECT task, reason FROM {p}job WHERE shelf = 'parked' LIMIT :bound)
GROUP BY task, reason
ORDER BY task, reason

-- name: task_names
SELECT DISTINCT task
FROM (SELECT task FROM {p}job ORDER BY id DESC LIMIT :scan)
ORDER BY task

-- name: jobs_before
-- Ranks may be shared; then the id decides.
SELECT count(*) AS n
FROM (
    SELECT 1
    FROM {p}job AS j
    CROSS JOIN {p}job AS other INDEXED BY {p}job_claim
        ON other.queue = j.queue AND other.priority = j.priority AND other.rank <= j.rank
    WHERE j.id = :id AND (other.rank < j.rank OR other.id < j.id)
    LIMIT :bound
)

-- name: oldest_ended
-- Among the oldest jobs of all: how long ago those of each final state ended, at most.
SELECT state, max(:now - finished_at) AS age_us
FROM (SELECT state, finished_at FROM {p}job ORDER BY id LIMIT :scan)
WHERE finished_at IS NOT NULL
GROUP BY state
