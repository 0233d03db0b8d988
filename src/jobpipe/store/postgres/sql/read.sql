-- name: job
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM {p}job AS j
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE j.id = CAST(:id AS bigint)

-- name: outcome
-- Little enough to be asked again and again by somebody who waits.
SELECT state FROM {p}job WHERE id = CAST(:id AS bigint)

-- name: newest
-- Newest first through a slice of the key; filters that no index serves.
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM (
    SELECT * FROM {p}job WHERE id < CAST(:before AS bigint)
    ORDER BY id DESC LIMIT CAST(:scan AS bigint)
) AS j
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE {matches}
ORDER BY j.id DESC

-- name: slice_end
SELECT min(id) AS last, count(*) AS n, max(created_at) AS newest
FROM (
    SELECT id, created_at FROM {p}job WHERE id < CAST(:before AS bigint)
    ORDER BY id DESC LIMIT CAST(:scan AS bigint)
) AS slice

-- name: shelf_ids
-- A slice of one shelf, newest first.
SELECT id FROM {p}job
WHERE shelf = CAST(:state AS text) AND id < CAST(:before AS bigint)
ORDER BY id DESC LIMIT CAST(:limit AS bigint)

-- name: waiting_ids
-- Ids of all that is queued or waits for a time, up to a bound. The orders are those of the
-- indexes; by id they are sorted by the caller.
SELECT id FROM (
    SELECT id FROM {p}job WHERE rank IS NOT NULL AND CAST(:state AS text) = 'queued'
    ORDER BY queue, priority, rank LIMIT CAST(:bound AS bigint)
) AS queued
UNION ALL
SELECT id FROM (
    SELECT id FROM {p}job WHERE due_at IS NOT NULL AND CAST(:state AS text) <> 'queued'
    ORDER BY queue, due_at LIMIT CAST(:bound AS bigint)
) AS timed

-- name: running_ids
SELECT unnest(job_ids) AS id FROM {p}claim

-- name: jobs_by_id
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM {p}job AS j
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE j.id = ANY (CAST(:ids AS bigint[]))
    AND {matches}
ORDER BY j.id DESC
LIMIT CAST(:limit AS bigint)

-- name: attempts
SELECT * FROM {p}attempt WHERE job_id = CAST(:id AS bigint) ORDER BY token

-- name: counts
-- Final states from the kept counters, the others by walks of their indexes that stop at the bound.
-- The ids are bounded as in count_waiting, lest the planner sorts.
SELECT queue, state, CAST(sum(n) AS bigint) AS n FROM {p}tally GROUP BY queue, state
UNION ALL
SELECT queue, 'queued', count(*) FROM (
    SELECT queue FROM {p}job WHERE rank IS NOT NULL
    ORDER BY queue, priority, rank LIMIT CAST(:bound AS bigint)
) AS queued GROUP BY queue
UNION ALL
SELECT queue, state, count(*) FROM (
    SELECT queue, state FROM {p}job WHERE due_at IS NOT NULL
    ORDER BY queue, due_at LIMIT CAST(:bound AS bigint)
) AS timed GROUP BY queue, state
UNION ALL
SELECT queue, shelf, count(*) FROM (
    SELECT queue, shelf FROM {p}job
    WHERE shelf = 'parked' AND id BETWEEN 0 AND 4611686018427387904
    ORDER BY id LIMIT CAST(:bound AS bigint)
) AS parked GROUP BY queue, shelf
UNION ALL
SELECT queue, shelf, count(*) FROM (
    SELECT queue, shelf FROM {p}job
    WHERE shelf = 'blocked' AND id BETWEEN 0 AND 4611686018427387904
    ORDER BY id LIMIT CAST(:bound AS bigint)
) AS blocked GROUP BY queue, shelf
UNION ALL
SELECT found.queue, 'running', count(*)
FROM {p}claim AS c
CROSS JOIN LATERAL unnest(c.job_ids, c.tokens) AS held (id, token)
CROSS JOIN LATERAL (
    SELECT j.queue, j.token, j.state FROM {p}job AS j WHERE j.id = held.id LIMIT 1
) AS found
WHERE found.token = held.token AND found.state = 'running'
GROUP BY found.queue

-- name: queues
-- Those that jobs were sent to, and those that somebody has set something of.
SELECT
    known.name, q.paused_at, q.paused_reason, q.paused_by, q.paused_until, q.max_queued,
    q.concurrency, q.rate, :now AS now
FROM (SELECT queue AS name FROM {p}lane UNION SELECT name FROM {p}queue) AS known
LEFT JOIN {p}queue AS q ON q.name = known.name
ORDER BY known.name

-- name: store_id
SELECT id FROM {p}store

-- name: ping
SELECT :now AS now

-- name: notify
-- Only a hint: sent outside of hot transactions, since it makes commits wait for each other, and
-- nobody waits for the disk on its account: a crash that loses it ends whoever listens, too.
SELECT
    set_config('synchronous_commit', 'off', true),
    pg_notify(CAST(:channel AS text), CAST(:payload AS text))
