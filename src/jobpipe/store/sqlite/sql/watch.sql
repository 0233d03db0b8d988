-- name: begin_watch
-- Rows that nobody prolonged go with the next one that comes.
DELETE FROM {p}watch WHERE until < :now;
INSERT INTO {p}watch (name, until) VALUES (:name, :now + :lease_us) RETURNING id

-- name: prolong_watch
UPDATE {p}watch SET until = :now + :lease_us WHERE id = :watch RETURNING id

-- name: end_watch
DELETE FROM {p}watch WHERE id = :watch

-- name: changed_jobs
SELECT j.id, j.state, j.queue
FROM json_each(:ids) AS wanted
CROSS JOIN {p}job AS j ON j.id = wanted.value
UNION ALL
SELECT * FROM (
    SELECT id, state, queue FROM {p}job WHERE id > :after ORDER BY id LIMIT :limit
)

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM {p}job
