-- name: hold_admission
-- Whoever writes is alone, so no earlier note comes to light later.
SELECT 0 AS oldest, 0 AS own

-- name: await_admission
-- Whoever writes is alone.
SELECT name FROM {p}duty WHERE name = 'admit'

-- name: take_looks
DELETE FROM {p}look
WHERE id IN (SELECT id FROM {p}look WHERE id >= :since ORDER BY id LIMIT :limit)
RETURNING id, job_id

-- name: look_at
-- A job that was re-run has started, if not in this life.
SELECT
    id, state, marks, token, queue, priority, task, group_key, tenant,
    CASE WHEN reruns > 0 THEN coalesce(started_at, :now) ELSE started_at END AS started_at
FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids))
ORDER BY id

-- name: admit
-- In the order in which they are given, each behind all that is queued. Who came before his time
-- waits for it; who expired meanwhile ends.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'failed', count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'blocked' AND expires_at <= :now
GROUP BY queue;
UPDATE {p}job
SET state = CASE
        WHEN expires_at <= :now THEN 'failed'
        WHEN run_at > :now THEN 'scheduled'
        ELSE 'queued'
    END,
    reason = iif(expires_at <= :now, 'expired', NULL),
    shelf = iif(expires_at <= :now, 'failed', NULL),
    finished_at = iif(expires_at <= :now, :now, NULL),
    due_at = CASE
        WHEN expires_at <= :now THEN NULL
        WHEN run_at > :now THEN min(run_at, coalesce(expires_at, run_at))
    END,
    rank = iif(expires_at <= :now OR run_at > :now, NULL, chosen.place),
    queued_at = iif(expires_at <= :now OR run_at > :now, NULL, :now),
    blocked_on = NULL
FROM (
    SELECT value AS given, key + 1 + (
        SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{p}job'
    ) AS place
    FROM json_each(:ids)
) AS chosen
WHERE id = chosen.given AND state = 'blocked'
RETURNING id, queue, priority, state, rank;
UPDATE sqlite_sequence SET seq = seq + json_array_length(:ids) WHERE name = '{p}job'
