-- name: job
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM {p}job AS j
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE j.id = :id

-- name: outcome
-- Little enough to be asked again and again by somebody who waits.
SELECT state FROM {p}job WHERE id = :id

-- name: newest
-- Newest first through a slice of the key; filters that no index serves.
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM (
    SELECT * FROM {p}job WHERE id < :before ORDER BY id DESC LIMIT :scan
) AS j
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE {matches}
ORDER BY j.id DESC

-- name: slice_end
SELECT min(id) AS last, count(*) AS n, max(created_at) AS newest
FROM (SELECT id, created_at FROM {p}job WHERE id < :before ORDER BY id DESC LIMIT :scan)

-- name: shelf_ids
-- A slice of one shelf, newest first.
SELECT id FROM {p}job
WHERE shelf = :state AND id < :before ORDER BY id DESC LIMIT :limit

-- name: waiting_ids
-- Ids of all that is queued or waits for a time, up to a bound: sorted here, not by an index.
SELECT id FROM (SELECT id FROM {p}job WHERE rank IS NOT NULL AND :state = 'queued' LIMIT :bound)
UNION ALL
SELECT id FROM (SELECT id FROM {p}job WHERE due_at IS NOT NULL AND :state <> 'queued' LIMIT :bound)

-- name: running_ids
SELECT held.value AS id FROM {p}claim AS c, json_each(c.job_ids) AS held

-- name: jobs_by_id
SELECT
    j.*, w.name AS worker, w.pid AS worker_pid, p.done AS progress_done,
    p.total AS progress_total, p.note AS progress_note, p.at AS progress_at
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
LEFT JOIN {p}progress AS p ON p.job_id = j.id
WHERE {matches}
ORDER BY j.id DESC
LIMIT :limit

-- name: attempts
SELECT * FROM {p}attempt WHERE job_id = :id ORDER BY token

-- name: counts
-- Final states from the kept counters, the others by reads that stop at the bound.
SELECT queue, state, sum(n) AS n FROM {p}tally GROUP BY queue, state
UNION ALL
SELECT queue, 'queued', count(*) FROM (
    SELECT queue FROM {p}job WHERE rank IS NOT NULL LIMIT :bound
) GROUP BY queue
UNION ALL
SELECT queue, state, count(*) FROM (
    SELECT queue, state FROM {p}job WHERE due_at IS NOT NULL LIMIT :bound
) GROUP BY queue, state
UNION ALL
SELECT queue, shelf, count(*) FROM (
    SELECT queue, shelf FROM {p}job WHERE shelf = 'parked' LIMIT :bound
) GROUP BY queue, shelf
UNION ALL
SELECT queue, shelf, count(*) FROM (
    SELECT queue, shelf FROM {p}job WHERE shelf = 'blocked' LIMIT :bound
) GROUP BY queue, shelf
UNION ALL
SELECT j.queue, 'running', count(*)
FROM {p}claim AS c, json_each(c.job_ids) AS held
CROSS JOIN {p}job AS j ON j.id = held.value
WHERE j.token = c.tokens ->> held.key AND j.state = 'running'
GROUP BY j.queue

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
