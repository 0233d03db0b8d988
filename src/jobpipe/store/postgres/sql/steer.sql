-- name: lock_job
SELECT id, state, token, worker_id, attempt, queue, unique_key, marks
FROM {p}job WHERE id = CAST(:id AS bigint) FOR UPDATE

-- name: cancel_waiting
WITH cancelled AS (
    UPDATE {p}job
    SET state = 'cancelled', shelf = 'cancelled',
        reason = CASE CAST(:reason AS text)
            WHEN 'by_user' THEN coalesce(cancel_reason, 'by_user') ELSE CAST(:reason AS text)
        END,
        finished_at = :now, rank = NULL, due_at = NULL, waiting_key = NULL,
        cancel_requested_at = coalesce(cancel_requested_at, :now)
    WHERE id = CAST(:id AS bigint)
    RETURNING id, queue
),
counted AS (
    INSERT INTO {p}tally (queue, state, n) SELECT queue, 'cancelled', 1 FROM cancelled
)
SELECT id FROM cancelled

-- name: request_cancel
WITH asked AS (
    UPDATE {p}job
    SET cancel_reason = CASE
            WHEN cancel_requested_at IS NULL THEN CAST(:reason AS text) ELSE cancel_reason
        END,
        cancel_requested_at = coalesce(cancel_requested_at, :now)
    WHERE id = CAST(:id AS bigint)
    RETURNING id, token, worker_id
),
noted AS (
    INSERT INTO {p}cancel_request (job_id, token, worker_id)
    SELECT id, token, worker_id FROM asked
    ON CONFLICT (job_id) DO UPDATE SET token = excluded.token, worker_id = excluded.worker_id
)
SELECT id FROM asked

-- name: rerun
-- The last attempt goes into the history first; then the job begins anew behind all others. Its
-- time to live counts from run_at, the moment of the re-run.
-- A failed or cancelled job goes on from its checkpoint, a succeeded one begins from nothing. Every
-- part sees the row as it was before the update.
WITH ended AS MATERIALIZED (
    SELECT * FROM {p}job WHERE id = CAST(:id AS bigint)
),
told AS (
    INSERT INTO {p}attempt (
        job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
    )
    SELECT
        j.id, j.token, j.attempt, j.state, j.reason, w.name, w.host, w.pid,
        j.started_at, j.finished_at, j.error
    FROM ended AS j LEFT JOIN {p}worker AS w ON w.id = j.worker_id
    WHERE j.started_at IS NOT NULL
    ON CONFLICT (job_id, token) DO NOTHING
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, -1 FROM ended WHERE finished_at IS NOT NULL
),
unsaid AS (
    DELETE FROM {p}progress WHERE job_id = CAST(:id AS bigint)
),
forgotten AS (
    DELETE FROM {p}checkpoint
    WHERE job_id = CAST(:id AS bigint) AND EXISTS (SELECT 1 FROM ended WHERE state = 'succeeded')
)
UPDATE {p}job
SET state = CASE WHEN marks & 9 <> 0 THEN 'blocked' ELSE 'queued' END, reason = NULL,
    shelf = CASE WHEN marks & 9 <> 0 THEN 'blocked' END, attempt = 0, losses = 0, reruns = reruns + 1,
    result = NULL, error = NULL, started_at = NULL, finished_at = NULL,
    cancel_requested_at = NULL, cancel_reason = NULL, run_at = :now, queued_at = :now,
    worker_id = NULL, suspect = NULL,
    expires_at = :now + (expires_at - CASE reruns WHEN 0 THEN created_at ELSE run_at END),
    rank = CASE WHEN marks & 9 <> 0 THEN NULL ELSE nextval('{p}rank') END
WHERE id = CAST(:id AS bigint)
RETURNING id, queue, priority, rank

-- name: patch_job
-- A job that may run now keeps its rank in its own lane, and is the last in another.
UPDATE {p}job
SET queue = CAST(:queue AS text), priority = CAST(:priority AS smallint),
    state = CAST(:state AS text), run_at = CAST(:run_at AS bigint),
    shelf = CASE WHEN CAST(:state AS text) IN ('blocked', 'parked') THEN CAST(:state AS text) END,
    due_at = CAST(:due_at AS bigint), queued_at = CAST(:queued_at AS bigint),
    args = coalesce(CAST(:args AS json), args),
    version = CASE WHEN CAST(:args AS text) IS NULL THEN version ELSE CAST(:version AS integer) END,
    rank = CASE
        WHEN CAST(:state AS text) <> 'queued' THEN NULL
        WHEN CAST(:keeps_rank AS boolean) THEN rank
        ELSE nextval('{p}rank')
    END
WHERE id = CAST(:id AS bigint)
RETURNING id, queue, priority, rank

-- name: lock_queue
SELECT
    name, paused_at, paused_reason, paused_by, paused_until, max_queued, concurrency, rate,
    :now AS now
FROM {p}queue WHERE name = CAST(:name AS text) FOR UPDATE

-- name: pause_queue
INSERT INTO {p}queue (name, paused_at, paused_reason, paused_by, paused_until)
VALUES (
    CAST(:name AS text), :now, CAST(:reason AS text), CAST(:by AS text), CAST(:until AS bigint)
)
ON CONFLICT (name) DO UPDATE
SET paused_at = excluded.paused_at, paused_reason = excluded.paused_reason,
    paused_by = excluded.paused_by, paused_until = excluded.paused_until
RETURNING name

-- name: resume_queue
UPDATE {p}queue
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL
WHERE name = CAST(:name AS text) RETURNING name
