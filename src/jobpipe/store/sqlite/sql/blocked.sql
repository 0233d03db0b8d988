-- name: gate_holders
-- Whom a gate has let through and who still counts at it, see list_gates.
SELECT j.id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since
FROM {p}gate_job AS h
CROSS JOIN {p}job AS j ON j.id = h.job_id
WHERE h.kind = :kind AND h.key = :key AND h.token IS NOT NULL
    AND CASE h.kind
        WHEN 'rate' THEN j.state = 'queued'
        WHEN 'concurrency' THEN j.state = 'queued' OR j.state = 'running'
        ELSE j.state <> 'succeeded' AND j.state <> 'cancelled'
    END
LIMIT :limit

-- name: gate_pause
SELECT paused_at, paused_reason, paused_by
FROM {p}gate WHERE kind = :kind AND key = :key

-- name: line_before
-- How many stand before the job in its line, up to a bound.
SELECT count(*) AS n
FROM (
    SELECT 1 FROM {p}gate_job
    WHERE kind = :kind AND key = :key AND line IS NOT NULL
        AND (line, place) < (:line, :place)
    LIMIT :bound
)

-- name: turn_before
-- How many of its tenant stand before the job in their line, up to a bound; no row: it has had its
-- turn, or has no tenant.
SELECT own.tenant, own.queue, (
    SELECT count(*) FROM (
        SELECT 1 FROM {p}line AS l
        WHERE l.queue = own.queue AND l.tenant = own.tenant
            AND (l.urgency, l.place) < (own.urgency, own.place)
        LIMIT :bound
    )
) AS n
FROM {p}line AS own WHERE own.job_id = :id

-- name: open_parents
-- What a job comes after and what has not ended; a parent may be a flow.
SELECT e.parent_id AS id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since
FROM {p}edge AS e
LEFT JOIN {p}job AS j ON j.id = e.parent_id
WHERE e.child_id = :id AND e.met = 0
LIMIT :limit

-- name: at_gates
-- Whose turn it was and who waits at a gate since: a tenant has no further turns while many do.
SELECT j.id, j.state, coalesce(j.started_at, j.queued_at, j.created_at) AS since, j.blocked_on
FROM {p}let_go AS l
CROSS JOIN {p}job AS j ON j.id = l.job_id
WHERE l.queue = :queue AND l.tenant = :tenant AND j.token = l.token AND j.state = 'blocked'
    AND l.place >= (SELECT first FROM {p}fair_queue WHERE queue = :queue)
ORDER BY l.place
LIMIT :limit
