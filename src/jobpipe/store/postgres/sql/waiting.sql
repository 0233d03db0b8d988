-- name: waiting_reach
-- How far so many jobs go, whatever their states.
SELECT max(id) AS reached
FROM (
    SELECT id FROM {p}job WHERE id > CAST(:after AS bigint) ORDER BY id LIMIT CAST(:limit AS bigint)
) AS slice

-- name: waiting_page
-- The sizes are summed up before any arguments are read, so that few are held at once.
SELECT j.id, j.task, j.args,
    j.state = 'blocked' AND EXISTS (
        SELECT 1 FROM {p}place AS p WHERE p.child_id = j.id
    ) AS is_handed
FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before
    FROM (
        SELECT id, length(CAST(args AS text)) AS size FROM {p}job
        WHERE id > CAST(:after AS bigint) AND id <= CAST(:reached AS bigint)
            AND state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked')
    ) AS sized
) AS waits
CROSS JOIN LATERAL (SELECT * FROM {p}job AS k WHERE k.id = waits.id LIMIT 1) AS j
WHERE waits.before < CAST(:characters AS bigint)
