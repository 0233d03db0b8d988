-- name: limit_queue
INSERT INTO {p}queue (name, max_queued)
VALUES (CAST(:name AS text), CAST(:max_queued AS bigint))
ON CONFLICT (name) DO UPDATE SET max_queued = excluded.max_queued
RETURNING name

-- name: queue_bounds
SELECT name, max_queued FROM {p}queue WHERE max_queued IS NOT NULL
