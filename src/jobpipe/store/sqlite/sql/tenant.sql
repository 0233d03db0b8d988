-- name: tenants
-- Those with a row of their own, and those who have jobs queued or running; running jobs stand in
-- the claim records.
WITH active AS MATERIALIZED (
    SELECT queue, name, count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state = 'running') AS running
    FROM (
        SELECT l.queue, l.tenant AS name, held.state
        FROM {p}let_go AS l
        CROSS JOIN {p}job AS held ON held.id = l.job_id
        WHERE held.token = l.token AND held.state = 'queued'
        UNION ALL
        SELECT held.queue, held.tenant, held.state
        FROM {p}claim AS c, json_each(c.job_ids) AS given
        CROSS JOIN {p}job AS held ON held.id = given.value
        WHERE held.token = c.tokens ->> given.key AND held.state = 'running'
            AND held.tenant IS NOT NULL
    )
    WHERE :queue IS NULL OR queue = :queue
    GROUP BY queue, name
),
named AS MATERIALIZED (
    SELECT queue, name FROM (
        SELECT queue, name FROM {p}tenant
        WHERE (queue, name) > (:after_queue, :after_name) AND (:queue IS NULL OR queue = :queue)
        ORDER BY queue, name
        LIMIT :limit
    )
    UNION
    SELECT queue, name FROM active WHERE (queue, name) > (:after_queue, :after_name)
)
SELECT
    n.queue, n.name, coalesce(t.weight, 1) AS weight, coalesce(t.waiting, 0) AS waiting,
    coalesce(a.queued, 0) AS queued, coalesce(a.running, 0) AS running
FROM named AS n
LEFT JOIN {p}tenant AS t ON t.queue = n.queue AND t.name = n.name
LEFT JOIN active AS a ON a.queue = n.queue AND a.name = n.name
ORDER BY n.queue, n.name
LIMIT :limit

-- name: weight_of
SELECT coalesce(weight, 1) AS weight FROM {p}tenant WHERE queue = :queue AND name = :tenant

-- name: set_weight
INSERT INTO {p}tenant (queue, name, weight) VALUES (:queue, :tenant, :weight)
ON CONFLICT (queue, name) DO UPDATE SET weight = excluded.weight
RETURNING name
