-- name: begin_watch
-- Rows that nobody prolonged go with the next one that comes.
WITH gone AS (
    DELETE FROM {p}watch WHERE until < :now
)
INSERT INTO {p}watch (name, until)
VALUES (CAST(:name AS text), :now + CAST(:lease_us AS bigint))
RETURNING id

-- name: prolong_watch
UPDATE {p}watch SET until = :now + CAST(:lease_us AS bigint)
WHERE id = CAST(:watch AS bigint) RETURNING id

-- name: end_watch
DELETE FROM {p}watch WHERE id = CAST(:watch AS bigint) RETURNING id

-- name: changed_jobs
SELECT id, state, queue FROM {p}job WHERE id = ANY (CAST(:ids AS bigint[]))
UNION ALL
(
    SELECT id, state, queue FROM {p}job WHERE id > CAST(:after AS bigint)
    ORDER BY id LIMIT CAST(:limit AS bigint)
)

-- name: newest_job
SELECT coalesce(max(id), 0) AS id FROM {p}job
