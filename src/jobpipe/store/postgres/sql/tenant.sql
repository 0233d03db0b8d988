-- name: tenants
-- Those with a row of their own, and those who have jobs queued or running; running jobs stand in
-- the claim records.
WITH active AS MATERIALIZED (
    SELECT queue, name, count(*) FILTER (WHERE state = 'queued') AS queued,
        count(*) FILTER (WHERE state = 'running') AS running
    FROM (
        SELECT l.queue, l.tenant AS name, found.state
        FROM {p}let_go AS l
        CROSS JOIN LATERAL (
            SELECT j.token, j.state FROM {p}job AS j WHERE j.id = l.job_id LIMIT 1
        ) AS found
        WHERE found.token = l.token AND found.state = 'queued'
        UNION ALL
        SELECT found.queue, found.tenant, found.state
        FROM {p}claim AS c
        CROSS JOIN LATERAL unnest(c.job_ids, c.tokens) AS held (id, token)
        CROSS JOIN LATERAL (
            SELECT j.token, j.state, j.queue, j.tenant
            FROM {p}job AS j WHERE j.id = held.id LIMIT 1
        ) AS found
        WHERE found.token = held.token AND found.state = 'running' AND found.tenant IS NOT NULL
    ) AS job
    WHERE CAST(:queue AS text) IS NULL OR queue = CAST(:queue AS text)
    GROUP BY queue, name
),
named AS MATERIALIZED (
    (
        SELECT queue, name FROM {p}tenant
        WHERE (queue, name) > (CAST(:after_queue AS text), CAST(:after_name AS text))
            AND (CAST(:queue AS text) IS NULL OR queue = CAST(:queue AS text))
        ORDER BY queue, name
        LIMIT CAST(:limit AS bigint)
    )
    UNION
    SELECT queue, name FROM active
    WHERE (queue, name) > (CAST(:after_queue AS text), CAST(:after_name AS text))
)
SELECT
    n.queue, n.name, coalesce(t.weight, 1) AS weight, coalesce(t.waiting, 0) AS waiting,
    coalesce(a.queued, 0) AS queued, coalesce(a.running, 0) AS running
FROM named AS n
LEFT JOIN LATERAL (
    SELECT weight, waiting FROM {p}tenant WHERE queue = n.queue AND name = n.name LIMIT 1
) AS t ON true
LEFT JOIN active AS a ON a.queue = n.queue AND a.name = n.name
ORDER BY n.queue, n.name
LIMIT CAST(:limit AS bigint)

-- name: weight_of
SELECT coalesce(weight, 1) AS weight FROM {p}tenant
WHERE queue = CAST(:queue AS text) AND name = CAST(:tenant AS text)

-- name: set_weight
INSERT INTO {p}tenant (queue, name, weight)
VALUES (CAST(:queue AS text), CAST(:tenant AS text), CAST(:weight AS integer))
ON CONFLICT (queue, name) DO UPDATE SET weight = excluded.weight
RETURNING name
