-- name: list_gates
-- held: whom it has let through and who still counts, by kind (see policy.gates); both counts stop
-- at the bound.
SELECT
    g.kind, g.key, g.terms, g.override, g.paused_at, g.paused_reason, g.paused_by, g.paused_until,
    g.shut_until, g.next_at, g.full_at, :now AS now,
    (SELECT count(*) FROM (
        SELECT 1
        FROM {p}gate_job AS h
        CROSS JOIN {p}job AS j ON j.id = h.job_id
        WHERE h.kind = g.kind AND h.key = g.key AND h.token IS NOT NULL
            AND CASE g.kind
                WHEN 'rate' THEN j.state = 'queued'
                WHEN 'concurrency' THEN j.state = 'queued' OR j.state = 'running'
                ELSE j.finished_at IS NULL
            END
        LIMIT :bound
    )) AS held,
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = g.kind AND w.key = g.key AND w.line IS NOT NULL LIMIT :bound
    )) AS waiting
FROM {p}gate AS g
WHERE (g.kind, g.key) >= (:kind, :key)
ORDER BY g.kind, g.key
LIMIT :limit

-- name: lock_gate
SELECT
    kind, key, terms, override, paused_at, paused_reason, paused_by, paused_until, shut_until,
    next_at, full_at, 0 AS held, 0 AS waiting, :now AS now
FROM {p}gate WHERE kind = :kind AND key = :key

-- name: limit_gate
INSERT INTO {p}gate (kind, key, override, next_at) VALUES (:kind, :key, :override, 0)
ON CONFLICT (kind, key) DO UPDATE SET override = :override, next_at = 0
RETURNING key

-- name: pause_gate
INSERT INTO {p}gate (kind, key, paused_at, paused_reason, paused_by, paused_until, next_at)
VALUES (:kind, :key, :now, :reason, :by, :until, 0)
ON CONFLICT (kind, key) DO UPDATE
SET paused_at = :now, paused_reason = :reason, paused_by = :by, paused_until = :until, next_at = 0
RETURNING key

-- name: resume_gate
UPDATE {p}gate
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL, next_at = 0
WHERE kind = :kind AND key = :key
RETURNING key

-- name: recall
-- Whom a gate let through and nobody has started waits at it again, where it stood.
UPDATE {p}job
SET state = 'blocked', shelf = 'blocked', rank = NULL, queued_at = NULL
WHERE state = 'queued' AND id IN (
    SELECT job_id FROM {p}gate_job
    WHERE kind = :kind AND key = :key AND token IS NOT NULL
)
RETURNING id, queue, state
