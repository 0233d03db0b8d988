-- name: promote
-- What is due becomes queued behind all that is queued, or comes to its gates; what expired or was
-- to be cancelled ends.
-- Ids and ranks are one sequence; all of one batch share a rank, and among them the id decides.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, iif(cancel_requested_at IS NULL, 'failed', 'cancelled'), count(*)
FROM (
    SELECT j.queue, j.cancel_requested_at, j.expires_at
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
    CROSS JOIN {p}job AS j INDEXED BY {p}job_due
        ON j.queue = lane.queue AND j.due_at BETWEEN :since AND :now
    LIMIT :limit
)
WHERE cancel_requested_at IS NOT NULL OR expires_at <= :now
GROUP BY 1, 2;
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{p}job';
UPDATE {p}job
SET state = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN expires_at <= :now THEN 'failed'
        WHEN marks & 1 THEN 'blocked'
        ELSE 'queued'
    END,
    reason = CASE
        WHEN cancel_requested_at IS NOT NULL THEN coalesce(cancel_reason, 'by_user')
        WHEN expires_at <= :now THEN 'expired'
    END,
    shelf = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN expires_at <= :now THEN 'failed'
        WHEN marks & 1 THEN 'blocked'
    END,
    finished_at = iif(cancel_requested_at IS NOT NULL OR expires_at <= :now, :now, NULL),
    rank = iif(
        cancel_requested_at IS NOT NULL OR expires_at <= :now OR marks & 1,
        NULL,
        (SELECT seq FROM sqlite_sequence WHERE name = '{p}job')
    ),
    queued_at = CASE
        WHEN cancel_requested_at IS NOT NULL OR expires_at <= :now THEN queued_at
        WHEN marks & 1 THEN NULL
        ELSE :now
    END,
    due_at = NULL
WHERE id IN (
    SELECT j.id
    FROM (SELECT DISTINCT queue FROM {p}lane) AS lane
    CROSS JOIN {p}job AS j INDEXED BY {p}job_due
        ON j.queue = lane.queue AND j.due_at BETWEEN :since AND :now
    LIMIT :limit
)
RETURNING id, queue, priority, state, rank

-- name: expire
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'failed', count(*)
FROM (
    SELECT queue FROM {p}job
    WHERE rank IS NOT NULL AND expires_at BETWEEN :since AND :now ORDER BY expires_at, id LIMIT :limit
)
GROUP BY 1;
UPDATE {p}job
SET state = 'failed', reason = 'expired', shelf = 'failed', finished_at = :now, rank = NULL
WHERE id IN (
    SELECT id FROM {p}job
    WHERE rank IS NOT NULL AND expires_at BETWEEN :since AND :now ORDER BY expires_at, id LIMIT :limit
)
RETURNING id, queue

-- name: find_parked
-- Each claim doubles the rest, from half a second to a minute: a job that workers with other code
-- keep parking is not handed to and fro.
SELECT j.id FROM {p}job AS j
WHERE j.shelf = 'parked' AND j.id > :after
    AND j.reason IN (SELECT value FROM json_each(:reasons))
    AND j.task IN (SELECT value ->> 0 FROM json_each(:rows))
    AND EXISTS (
        SELECT 1 FROM json_each(:rows) AS takes
        WHERE takes.value ->> 0 = j.task
            AND coalesce(j.version, 1) BETWEEN takes.value ->> 1 AND takes.value ->> 2
    )
    AND (:anew OR (
        j.started_at <= :now - (500000 << min(j.token - 1, 7))
        AND coalesce(j.error ->> 'type', '') <> 'UpgradeFailed'
    ))
ORDER BY j.id
LIMIT :limit

-- name: unpark
-- All of one batch share a new rank, behind all that is queued; among them the id decides. A job
-- that was to be cancelled when it was parked is cancelled instead.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'cancelled', count(*) FROM {p}job
WHERE state = 'parked' AND cancel_requested_at IS NOT NULL
    AND id IN (SELECT value FROM json_each(:ids))
GROUP BY queue;
UPDATE sqlite_sequence SET seq = seq + 1 WHERE name = '{p}job';
UPDATE {p}job
SET state = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN marks & 1 THEN 'blocked'
        ELSE 'queued'
    END,
    reason = iif(cancel_requested_at IS NULL, NULL, coalesce(cancel_reason, 'by_user')),
    shelf = CASE
        WHEN cancel_requested_at IS NOT NULL THEN 'cancelled'
        WHEN marks & 1 THEN 'blocked'
    END,
    finished_at = iif(cancel_requested_at IS NULL, NULL, :now),
    rank = iif(
        cancel_requested_at IS NOT NULL OR marks & 1,
        NULL,
        (SELECT seq FROM sqlite_sequence WHERE name = '{p}job')
    ),
    error = NULL, queued_at = :now
WHERE state = 'parked' AND id IN (SELECT value FROM json_each(:ids))
RETURNING id, queue, priority, state, rank

-- name: take_duty
-- One worker at a time walks; it starts where the last walk ended.
UPDATE {p}duty SET next_at = :now + :every_us
WHERE name = :name AND next_at <= :now
RETURNING position

-- name: note_position
UPDATE {p}duty SET position = :position WHERE name = :name RETURNING position

-- name: old_jobs
SELECT
    j.id, j.state, j.created_at, j.finished_at, j.marks, :now AS now,
    j.unique_key IS NOT NULL AND EXISTS (
        SELECT 1 FROM {p}held_key AS h WHERE h.job_id = j.id AND h.holds AND h.until > :now
    ) OR j.marks IS NOT NULL AND EXISTS (
        SELECT 1 FROM {p}member AS m JOIN {p}flow AS f ON f.id = m.flow_id
        WHERE m.node_id = j.id AND f.state = 'running'
    ) AS needed
FROM {p}job AS j WHERE j.id > :after ORDER BY j.id LIMIT :limit

-- name: log_reach
-- The job in whose log the last of so many lines stands; null when the jobs have fewer.
SELECT iif(count(*) >= :limit, max(id), NULL) AS reached
FROM (
    SELECT old.value AS id
    FROM json_each(:ids) AS old
    CROSS JOIN {p}log AS l ON l.job_id = old.value
    LIMIT :limit
)

-- name: prune
-- The guard is repeated: a job that was re-run meanwhile stays.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, state, -count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
GROUP BY 1, 2;
DELETE FROM {p}idempotency
WHERE key IN (
    SELECT idempotency_key FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}attempt
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}log
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}progress
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}checkpoint
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}held_key
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}aside
WHERE (task, job_id) IN (
    SELECT task, id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
UPDATE {p}gate SET next_at = 0
WHERE (kind, key) IN (
    SELECT kind, key FROM {p}gate_job
    WHERE token IS NOT NULL AND job_id IN (
        SELECT id FROM {p}job
        WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
    )
);
DELETE FROM {p}gate_job
WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
);
DELETE FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND finished_at IS NOT NULL
RETURNING id

-- name: prune_workers
-- An ended worker goes when no job row tells of it any more. A claim of a program elsewhere (pid 0)
-- is a row of its own, so there may be one for each job: they go with the first jobs that go.
DELETE FROM {p}worker
WHERE ended_at < :now - CASE WHEN pid = 0 THEN :claims_age_us ELSE :age_us END
    AND id NOT IN (SELECT worker_id FROM {p}claim)
RETURNING id

-- name: rollup
-- The new rows are the last ones, so all before them are what they sum up.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, state, sum(n) FROM {p}tally GROUP BY queue, state;
DELETE FROM {p}tally WHERE rowid <= last_insert_rowid() - changes() RETURNING n
