-- name: limit_queue
INSERT INTO {p}queue (name, max_queued, concurrency, rate)
VALUES (
    CAST(:name AS text), CAST(:max_queued AS bigint), CAST(:concurrency AS integer),
    CAST(:rate AS text)
)
ON CONFLICT (name) DO UPDATE
SET max_queued = excluded.max_queued, concurrency = excluded.concurrency, rate = excluded.rate
RETURNING name

-- name: queue_limits
SELECT name, max_queued, concurrency, rate
FROM {p}queue WHERE max_queued IS NOT NULL OR concurrency IS NOT NULL OR rate IS NOT NULL
