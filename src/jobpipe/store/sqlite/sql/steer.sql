-- name: lock_job
SELECT id, state, token, worker_id, attempt, queue, unique_key, marks FROM {p}job WHERE id = :id

-- name: cancel_waiting
INSERT INTO {p}tally (queue, state, n) SELECT queue, 'cancelled', 1 FROM {p}job WHERE id = :id;
UPDATE {p}job
SET state = 'cancelled', shelf = 'cancelled', finished_at = :now,
    reason = iif(:reason = 'by_user', coalesce(cancel_reason, :reason), :reason),
    rank = NULL, due_at = NULL, waiting_key = NULL,
    cancel_requested_at = coalesce(cancel_requested_at, :now)
WHERE id = :id
RETURNING id

-- name: request_cancel
INSERT INTO {p}cancel_request (job_id, token, worker_id)
SELECT id, token, worker_id FROM {p}job WHERE id = :id
ON CONFLICT (job_id) DO UPDATE SET token = excluded.token, worker_id = excluded.worker_id;
UPDATE {p}job
SET cancel_reason = iif(cancel_requested_at IS NULL, :reason, cancel_reason),
    cancel_requested_at = coalesce(cancel_requested_at, :now)
WHERE id = :id RETURNING id

-- name: rerun
-- The last attempt goes into the history first; then the job begins anew behind all others. Its
-- time to live counts from run_at, the moment of the re-run. A failed or cancelled job goes on from
-- its checkpoint, a succeeded one begins from nothing.
INSERT INTO {p}attempt (
    job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
)
SELECT
    j.id, j.token, j.attempt, j.state, j.reason, w.name, w.host, w.pid,
    j.started_at, j.finished_at, j.error
FROM {p}job AS j LEFT JOIN {p}worker AS w ON w.id = j.worker_id
WHERE j.id = :id AND j.started_at IS NOT NULL
ON CONFLICT (job_id, token) DO NOTHING;
INSERT INTO {p}tally (queue, state, n)
SELECT queue, state, -1 FROM {p}job WHERE id = :id AND finished_at IS NOT NULL;
DELETE FROM {p}progress WHERE job_id = :id;
DELETE FROM {p}checkpoint
WHERE job_id = :id AND (SELECT state FROM {p}job WHERE id = :id) = 'succeeded';
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{p}job';
UPDATE {p}job
SET state = iif(marks & 9, 'blocked', 'queued'), reason = NULL,
    shelf = iif(marks & 9, 'blocked', NULL), attempt = 0, losses = 0, reruns = reruns + 1,
    result = NULL, error = NULL, started_at = NULL, finished_at = NULL,
    cancel_requested_at = NULL, cancel_reason = NULL, run_at = :now, queued_at = :now,
    worker_id = NULL, suspect = NULL,
    expires_at = :now + (expires_at - iif(reruns = 0, created_at, run_at)),
    rank = iif(marks & 9, NULL, (SELECT seq FROM sqlite_sequence WHERE name = '{p}job'))
WHERE id = :id
RETURNING id, queue, priority, rank

-- name: patch_job
-- A job that may run now keeps its rank in its own lane, and is the last in another.
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{p}job';
UPDATE {p}job
SET queue = :queue, priority = :priority, state = :state, run_at = :run_at, due_at = :due_at,
    shelf = iif(:state IN ('blocked', 'parked'), :state, NULL), queued_at = :queued_at,
    args = coalesce(:args, args), version = iif(:args IS NULL, version, :version),
    rank = CASE
        WHEN :state <> 'queued' THEN NULL
        WHEN :keeps_rank THEN rank
        ELSE (SELECT seq FROM sqlite_sequence WHERE name = '{p}job')
    END
WHERE id = :id
RETURNING id, queue, priority, rank

-- name: lock_queue
SELECT
    name, paused_at, paused_reason, paused_by, paused_until, max_queued, concurrency, rate,
    :now AS now
FROM {p}queue WHERE name = :name

-- name: pause_queue
INSERT INTO {p}queue (name, paused_at, paused_reason, paused_by, paused_until)
VALUES (:name, :now, :reason, :by, :until)
ON CONFLICT (name) DO UPDATE
SET paused_at = :now, paused_reason = :reason, paused_by = :by, paused_until = :until
RETURNING name

-- name: resume_queue
UPDATE {p}queue
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL
WHERE name = :name RETURNING name
