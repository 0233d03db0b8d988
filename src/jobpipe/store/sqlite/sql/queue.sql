-- name: limit_queue
INSERT INTO {p}queue (name, max_queued) VALUES (:name, :max_queued)
ON CONFLICT (name) DO UPDATE SET max_queued = :max_queued
RETURNING name

-- name: queue_bounds
SELECT name, max_queued FROM {p}queue WHERE max_queued IS NOT NULL
