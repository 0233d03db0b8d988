-- name: waiting_reach
-- How far so many jobs go, whatever their states.
SELECT max(id) AS reached FROM (SELECT id FROM {p}job WHERE id > :after ORDER BY id LIMIT :limit)

-- name: waiting_page
-- The sizes are summed up before any arguments are read, so that few are held at once.
SELECT j.id, j.task, j.args,
    j.state = 'blocked' AND EXISTS (
        SELECT 1 FROM {p}place AS p WHERE p.child_id = j.id
    ) AS is_handed
FROM (
    SELECT id, sum(size) OVER (ORDER BY id) - size AS before
    FROM (
        SELECT id, length(args) AS size FROM {p}job
        WHERE id > :after AND id <= :reached
            AND state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked')
    )
) AS waits
CROSS JOIN {p}job AS j ON j.id = waits.id
WHERE waits.before < :characters
