-- name: list_gates
-- held: whom it has let through and who still counts, by kind (see policy.gates); both counts stop
-- at the bound.
SELECT
    g.kind, g.key, g.terms, g.override, g.paused_at, g.paused_reason, g.paused_by, g.paused_until,
    g.shut_until, g.next_at, g.full_at, :now AS now,
    (SELECT count(*) FROM (
        SELECT 1
        FROM (
            SELECT job_id FROM {p}gate_job
            WHERE kind = g.kind AND key = g.key AND token IS NOT NULL
            OFFSET 0
        ) AS h
        CROSS JOIN LATERAL (
            SELECT state, finished_at FROM {p}job WHERE id = h.job_id LIMIT 1
        ) AS j
        WHERE CASE g.kind
            WHEN 'rate' THEN j.state = 'queued'
            WHEN 'concurrency' THEN j.state IN ('queued', 'running')
            ELSE j.finished_at IS NULL
        END
        LIMIT CAST(:bound AS bigint)
    ) AS holding) AS held,
    (SELECT count(*) FROM (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = g.kind AND w.key = g.key AND w.line IS NOT NULL
        ORDER BY w.kind, w.key, w.line, w.place
        LIMIT CAST(:bound AS bigint)
    ) AS lined) AS waiting
FROM {p}gate AS g
WHERE (g.kind, g.key) >= (CAST(:kind AS text), CAST(:key AS text))
ORDER BY g.kind, g.key
LIMIT CAST(:limit AS bigint)

-- name: lock_gate
SELECT
    kind, key, terms, override, paused_at, paused_reason, paused_by, paused_until, shut_until,
    next_at, full_at, 0 AS held, 0 AS waiting, :now AS now
FROM {p}gate WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text) FOR UPDATE

-- name: limit_gate
INSERT INTO {p}gate (kind, key, override, next_at)
VALUES (CAST(:kind AS text), CAST(:key AS text), CAST(:override AS text), 0)
ON CONFLICT (kind, key) DO UPDATE SET override = excluded.override, next_at = 0
RETURNING key

-- name: pause_gate
INSERT INTO {p}gate (kind, key, paused_at, paused_reason, paused_by, paused_until, next_at)
VALUES (
    CAST(:kind AS text), CAST(:key AS text), :now, CAST(:reason AS text), CAST(:by AS text),
    CAST(:until AS bigint), 0
)
ON CONFLICT (kind, key) DO UPDATE
SET paused_at = excluded.paused_at, paused_reason = excluded.paused_reason,
    paused_by = excluded.paused_by, paused_until = excluded.paused_until, next_at = 0
RETURNING key

-- name: resume_gate
UPDATE {p}gate
SET paused_at = NULL, paused_reason = NULL, paused_by = NULL, paused_until = NULL, next_at = 0
WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text)
RETURNING key

-- name: recall
-- Whom a gate let through and nobody has started waits at it again, where it stood. Whom somebody's
-- open transaction holds is left for the rounds.
WITH free AS MATERIALIZED (
    SELECT j.id
    FROM unnest(ARRAY(
        SELECT job_id FROM {p}gate_job
        WHERE kind = CAST(:kind AS text) AND key = CAST(:key AS text) AND token IS NOT NULL
    )) AS let_through (id)
    CROSS JOIN LATERAL (
        SELECT id FROM {p}job
        WHERE id = let_through.id AND CASE state WHEN 'queued' THEN true ELSE false END
        FOR UPDATE SKIP LOCKED
    ) AS j
    WHERE let_through.id BETWEEN 0 AND 4611686018427387904
)
UPDATE {p}job AS j
SET state = 'blocked', shelf = 'blocked', rank = NULL, queued_at = NULL
FROM free
WHERE j.id = free.id AND free.id BETWEEN 0 AND 4611686018427387904
RETURNING j.id, j.queue, j.state
