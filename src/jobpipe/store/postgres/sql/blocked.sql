-- name: gate_holders
-- Whom a gate has let through and who still counts at it, see list_gates.
SELECT j.id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since
FROM (
    SELECT job_id FROM {p}gate_job
    WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text) AND token IS NOT NULL
    OFFSET 0
) AS h
CROSS JOIN LATERAL (
    SELECT id, state, started_at, queued_at, created_at FROM {p}job WHERE id = h.job_id LIMIT 1
) AS j
WHERE CASE CAST(:kind AS text)
    WHEN 'rate' THEN j.state = 'queued'
    WHEN 'concurrency' THEN j.state IN ('queued', 'running')
    ELSE j.state NOT IN ('succeeded', 'cancelled')
END
LIMIT CAST(:limit AS bigint)

-- name: gate_pause
SELECT paused_at, paused_reason, paused_by
FROM {p}gate WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text)

-- name: line_before
-- How many stand before the job in its line, up to a bound. The orders make it walks of the line,
-- in two parts, since the server would walk all of it beyond a pair of values.
SELECT CAST(least(sum(n), CAST(:bound AS bigint)) AS bigint) AS n
FROM (
    SELECT count(*) AS n
    FROM (
        SELECT 1 FROM {p}gate_job
        WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text)
            AND line < CAST(:line AS smallint)
        ORDER BY kind, key, line, place
        LIMIT CAST(:bound AS bigint)
    ) AS urgent
    UNION ALL
    SELECT count(*)
    FROM (
        SELECT 1 FROM {p}gate_job
        WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text)
            AND line = CAST(:line AS smallint) AND place < CAST(:place AS bigint)
        ORDER BY kind, key, line, place
        LIMIT CAST(:bound AS bigint)
    ) AS alike
) AS parts

-- name: turn_before
-- How many of its tenant stand before the job in their line, up to a bound; no row: it has had its
-- turn, or has no tenant.
SELECT own.tenant, own.queue, least(urgent.n + alike.n, CAST(:bound AS bigint)) AS n
FROM {p}line AS own
CROSS JOIN LATERAL (
    SELECT count(*) AS n
    FROM (
        SELECT 1 FROM {p}line AS l
        WHERE l.queue = own.queue AND l.tenant = own.tenant AND l.urgency < own.urgency
        ORDER BY l.queue, l.tenant, l.urgency, l.place
        LIMIT CAST(:bound AS bigint)
    ) AS walked
) AS urgent
CROSS JOIN LATERAL (
    SELECT count(*) AS n
    FROM (
        SELECT 1 FROM {p}line AS l
        WHERE l.queue = own.queue AND l.tenant = own.tenant AND l.urgency = own.urgency
            AND l.place < own.place
        ORDER BY l.queue, l.tenant, l.urgency, l.place
        LIMIT CAST(:bound AS bigint)
    ) AS walked
) AS alike
WHERE own.job_id = CAST(:id AS bigint)

-- name: open_parents
-- What a job comes after and what has not ended; a parent may be a flow.
SELECT e.parent_id AS id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since
FROM {p}edge AS e
LEFT JOIN LATERAL (
    SELECT state, started_at, queued_at, created_at FROM {p}job WHERE id = e.parent_id LIMIT 1
) AS j ON true
WHERE e.child_id = CAST(:id AS bigint) AND NOT e.met
LIMIT CAST(:limit AS bigint)

-- name: at_gates
-- Whose turn it was and who waits at a gate since: a tenant has no further turns while many do.
SELECT j.id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since, j.blocked_on
FROM {p}let_go AS l
CROSS JOIN LATERAL (
    SELECT id, state, token, blocked_on, started_at, queued_at, created_at
    FROM {p}job WHERE id = l.job_id LIMIT 1
) AS j
WHERE l.queue = CAST(:queue AS text) AND l.tenant = CAST(:tenant AS text)
    AND l.place >= (SELECT first FROM {p}fair_queue WHERE queue = CAST(:queue AS text))
    AND j.token = l.token AND j.state = 'blocked'
ORDER BY l.queue, l.place
LIMIT CAST(:limit AS bigint)
