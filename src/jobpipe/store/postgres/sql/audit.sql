-- name: note_audit
INSERT INTO {p}audit (at, who, via, request_id, action, job_id, queue, before, after)
SELECT
    :now, who, via, request_id, action, job_id, queue, CAST(before AS json), CAST(after AS json)
FROM unnest(
    CAST(:who AS text[]), CAST(:via AS text[]), CAST(:request_id AS text[]),
    CAST(:action AS text[]), CAST(:job_id AS bigint[]), CAST(:queue AS text[]),
    CAST(:before AS text[]), CAST(:after AS text[])
) AS said (who, via, request_id, action, job_id, queue, before, after)

-- name: audit
SELECT * FROM {p}audit WHERE id < CAST(:before AS bigint)
ORDER BY id DESC LIMIT CAST(:limit AS bigint)

-- name: audit_of_job
-- One job has few rows, so they are sorted here; the key would lead through everybody's.
SELECT * FROM (
    SELECT * FROM {p}audit WHERE job_id = CAST(:job_id AS bigint) OFFSET 0
) AS own
WHERE id < CAST(:before AS bigint)
ORDER BY id DESC LIMIT CAST(:limit AS bigint)

-- name: prune_audit
-- Rows are written in about the order of their time, so the oldest ones are the first of the key.
DELETE FROM {p}audit AS a
USING unnest(ARRAY(
    SELECT id FROM (
        SELECT id, at FROM {p}audit ORDER BY id LIMIT CAST(:limit AS bigint)
    ) AS oldest
    WHERE at < :now - CAST(:age_us AS bigint)
)) AS chosen (id)
WHERE a.id = chosen.id AND chosen.id BETWEEN 0 AND 4611686018427387904
RETURNING a.id
