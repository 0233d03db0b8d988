-- name: note_audit
INSERT INTO {p}audit (at, who, via, request_id, action, job_id, queue, before, after)
SELECT
    :now, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5,
    value ->> 6, value ->> 7
FROM json_each(:rows)

-- name: audit
SELECT * FROM {p}audit WHERE id < :before ORDER BY id DESC LIMIT :limit

-- name: audit_of_job
SELECT * FROM {p}audit WHERE job_id = :job_id AND id < :before ORDER BY id DESC LIMIT :limit

-- name: prune_audit
-- Rows are written in the order of their time, so the oldest ones are the first of the key.
DELETE FROM {p}audit
WHERE id IN (
    SELECT id FROM (SELECT id, at FROM {p}audit WHERE id > 0 ORDER BY id LIMIT :limit)
    WHERE at < :now - :age_us
)
RETURNING id
