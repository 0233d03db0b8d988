-- name: draw_ids
-- Ids of flows come from those of jobs.
SELECT nextval('{p}rank') AS id FROM generate_series(1, CAST(:n AS bigint))

-- name: add_flows
INSERT INTO {p}flow (id, kind, name, policy, total, created_at, deadline_at, due_at)
SELECT id, kind, name, policy, total, :now, :now + deadline_us, :now + deadline_us
FROM unnest(
    CAST(:id AS bigint[]), CAST(:kind AS text[]), CAST(:name AS text[]), CAST(:policy AS text[]),
    CAST(:total AS bigint[]), CAST(:deadline_us AS bigint[])
) AS new (id, kind, name, policy, total, deadline_us)

-- name: add_members
INSERT INTO {p}member (node_id, flow_id, role, waits)
SELECT node_id, flow_id, role, waits
FROM unnest(
    CAST(:node_id AS bigint[]), CAST(:flow_id AS bigint[]), CAST(:role AS text[]),
    CAST(:waits AS integer[])
) AS new (node_id, flow_id, role, waits)

-- name: add_edges
INSERT INTO {p}edge (child_id, parent_id, need)
SELECT child_id, parent_id, need
FROM unnest(
    CAST(:child_id AS bigint[]), CAST(:parent_id AS bigint[]), CAST(:need AS text[])
) AS new (child_id, parent_id, need)

-- name: add_places
INSERT INTO {p}place (child_id, pointer, parent_id)
SELECT child_id, pointer, parent_id
FROM unnest(
    CAST(:child_id AS bigint[]), CAST(:pointer AS text[]), CAST(:parent_id AS bigint[])
) AS new (child_id, pointer, parent_id)

-- name: add_growth
INSERT INTO {p}growth (flow_id, n) VALUES (CAST(:flow_id AS bigint), CAST(:n AS bigint))

-- name: note_looks
INSERT INTO {p}look (job_id) SELECT id FROM unnest(CAST(:ids AS bigint[])) AS noted (id)

-- name: note_rerun
-- Whoever waits for its end must hear that it has begun anew.
INSERT INTO {p}look (job_id)
SELECT id FROM {p}job WHERE id = CAST(:id AS bigint) AND marks & 4 <> 0

-- name: read_nodes
SELECT node_id, flow_id, role, waits, settled
FROM {p}member
WHERE node_id = ANY (CAST(:ids AS bigint[])) AND node_id BETWEEN 0 AND 4611686018427387904

-- name: read_flows
-- Those that are named, and the first ones whose deadline has passed.
SELECT * FROM {p}flow
WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN 0 AND 4611686018427387904
UNION
(
    SELECT * FROM {p}flow WHERE due_at BETWEEN 0 AND :now
    ORDER BY due_at LIMIT CAST(:late AS bigint)
)

-- name: settle_nodes
UPDATE {p}member AS m SET settled = now.settled
FROM unnest(CAST(:id AS bigint[]), CAST(:settled AS text[])) AS now (id, settled)
WHERE m.node_id = now.id AND now.id BETWEEN 0 AND 4611686018427387904

-- name: take_growth
DELETE FROM {p}growth
WHERE flow_id = ANY (CAST(:ids AS bigint[])) AND flow_id BETWEEN 0 AND 4611686018427387904
RETURNING flow_id, n

-- name: count_flows
UPDATE {p}flow AS f
SET total = f.total + d.total, succeeded = f.succeeded + d.succeeded,
    failed = f.failed + d.failed, cancelled = f.cancelled + d.cancelled
FROM unnest(
    CAST(:id AS bigint[]), CAST(:total AS bigint[]), CAST(:succeeded AS bigint[]),
    CAST(:failed AS bigint[]), CAST(:cancelled AS bigint[])
) AS d (id, total, succeeded, failed, cancelled)
WHERE f.id = d.id AND d.id BETWEEN 0 AND 4611686018427387904
RETURNING f.*

-- name: end_flows
UPDATE {p}flow AS f SET state = ended.state, finished_at = :now, due_at = NULL, sweep = NULL
FROM unnest(CAST(:id AS bigint[]), CAST(:state AS text[])) AS ended (id, state)
WHERE f.id = ended.id AND ended.id BETWEEN 0 AND 4611686018427387904 AND f.state = 'running'

-- name: stop_flows
-- What is left of them is cancelled from the beginning on, slice by slice.
UPDATE {p}flow SET ending = CAST(:ending AS text), sweep = 'cancel', position = 0, due_at = NULL
WHERE id = ANY (CAST(:ids AS bigint[])) AND state = 'running' AND ending IS NULL
RETURNING *

-- name: reopen_flows
UPDATE {p}flow
SET state = 'running', ending = NULL, sweep = 'rerun', position = 0, due_at = NULL,
    finished_at = NULL
WHERE id = ANY (CAST(:ids AS bigint[])) AND (state <> 'running' OR ending IS NULL)
    AND failed + cancelled > 0
RETURNING *

-- name: lost_nodes
-- How many nodes of a flow are there no longer, as far as its totals are folded.
SELECT f.total - (
    SELECT count(*) FROM {p}member AS m WHERE m.flow_id = f.id AND m.role = 'node'
) AS n
FROM {p}flow AS f WHERE f.id = CAST(:id AS bigint)

-- name: note_sweep
UPDATE {p}flow SET sweep = CAST(:sweep AS text), position = CAST(:position AS bigint)
WHERE id = CAST(:id AS bigint) RETURNING *

-- name: flow_slice
SELECT node_id, flow_id, role, waits, settled
FROM {p}member WHERE flow_id = CAST(:id AS bigint) AND node_id > CAST(:after AS bigint)
ORDER BY node_id LIMIT CAST(:limit AS bigint)

-- name: flow_callbacks
SELECT node_id, flow_id, role, waits, settled
FROM {p}member WHERE flow_id = CAST(:id AS bigint) AND role <> 'node'

-- name: open_edges_below
-- By parent, so that whoever asks knows of whom there may be more.
SELECT child_id, parent_id, need
FROM {p}edge
WHERE NOT met AND parent_id = ANY (CAST(:ids AS bigint[]))
    AND parent_id BETWEEN 0 AND 4611686018427387904
ORDER BY parent_id, child_id
LIMIT CAST(:limit AS bigint)

-- name: open_edges_above
-- Those whose parents had ended before the child was looked at. CASE hides from the planner that an
-- index holds the open ones alone: it is that of their parents.
SELECT e.child_id, e.parent_id, e.need, m.settled
FROM {p}edge AS e
CROSS JOIN LATERAL (
    SELECT settled FROM {p}member WHERE node_id = e.parent_id OFFSET 0
) AS m
WHERE e.child_id = ANY (CAST(:ids AS bigint[]))
    AND e.child_id BETWEEN 0 AND 4611686018427387904
    AND CASE WHEN e.met THEN false ELSE m.settled IS NOT NULL END
ORDER BY e.child_id, e.parent_id
LIMIT CAST(:limit AS bigint)

-- name: unfit_parents
-- Of those that once let it go: what runs anew, or has not ended as it has to. What is gone was
-- not in its way then.
SELECT e.parent_id
FROM {p}edge AS e
JOIN {p}member AS m ON m.node_id = e.parent_id
WHERE e.child_id = CAST(:id AS bigint) AND e.met AND NOT (
    m.settled IS NOT NULL
    AND (e.need = 'any' OR (m.settled = 'succeeded') = (e.need = 'success'))
)
LIMIT 1

-- name: meet_edges
UPDATE {p}edge AS e SET met = true
FROM unnest(CAST(:child_id AS bigint[]), CAST(:parent_id AS bigint[])) AS judged (child, parent)
WHERE e.child_id = judged.child AND e.parent_id = judged.parent
    AND judged.child BETWEEN 0 AND 4611686018427387904

-- name: lower_waits
UPDATE {p}member AS m SET waits = m.waits - met.n
FROM unnest(CAST(:id AS bigint[]), CAST(:n AS integer[])) AS met (id, n)
WHERE m.node_id = met.id AND met.id BETWEEN 0 AND 4611686018427387904
RETURNING m.node_id, m.waits

-- name: raise_waits
-- All that they come after counts anew.
WITH counted AS (
    UPDATE {p}edge SET met = false
    WHERE child_id = ANY (CAST(:ids AS bigint[]))
        AND child_id BETWEEN 0 AND 4611686018427387904
    RETURNING child_id
),
sums AS (
    SELECT child_id, CAST(count(*) AS integer) AS n FROM counted GROUP BY child_id
)
UPDATE {p}member AS m SET waits = sums.n FROM sums WHERE m.node_id = sums.child_id

-- name: cancel_by_flow
WITH ended AS (
    UPDATE {p}job
    SET state = 'cancelled', reason = 'by_flow', shelf = 'cancelled', finished_at = :now,
        rank = NULL, due_at = NULL, waiting_key = NULL, blocked_on = NULL
    WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN 0 AND 4611686018427387904
        AND CASE
            WHEN state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked') THEN true
            ELSE false
        END
    RETURNING id, queue
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, 'cancelled', count(*) FROM ended GROUP BY queue
)
SELECT id, queue FROM ended

-- name: request_cancels
WITH asked AS (
    UPDATE {p}job
    SET cancel_reason = CASE WHEN cancel_requested_at IS NULL THEN 'by_flow' ELSE cancel_reason END,
        cancel_requested_at = coalesce(cancel_requested_at, :now)
    WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN 0 AND 4611686018427387904
        AND CASE state WHEN 'running' THEN true ELSE false END
    RETURNING id, token, worker_id
)
INSERT INTO {p}cancel_request (job_id, token, worker_id)
SELECT id, token, worker_id FROM asked
ON CONFLICT (job_id) DO UPDATE SET token = excluded.token, worker_id = excluded.worker_id

-- name: rerun_nodes
-- Like a re-run, but each comes back behind what it comes after. Every part sees the rows as they
-- were before the update, and locks them first.
WITH again AS MATERIALIZED (
    SELECT * FROM {p}job
    WHERE id = ANY (CAST(:ids AS bigint[])) AND id BETWEEN 0 AND 4611686018427387904
        AND CASE WHEN state IN ('failed', 'cancelled') THEN true ELSE false END
    FOR UPDATE
),
told AS (
    INSERT INTO {p}attempt (
        job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
    )
    SELECT
        j.id, j.token, j.attempt, j.state, j.reason, w.name, w.host, w.pid,
        j.started_at, j.finished_at, j.error
    FROM again AS j LEFT JOIN {p}worker AS w ON w.id = j.worker_id
    WHERE j.started_at IS NOT NULL
    ON CONFLICT (job_id, token) DO NOTHING
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, state, -count(*) FROM again GROUP BY queue, state
),
unsaid AS (
    DELETE FROM {p}progress USING again WHERE job_id = again.id
)
UPDATE {p}job AS j
SET state = 'blocked', reason = NULL, shelf = 'blocked', attempt = 0, losses = 0,
    reruns = j.reruns + 1, result = NULL, error = NULL, started_at = NULL, finished_at = NULL,
    cancel_requested_at = NULL, cancel_reason = NULL, run_at = :now, queued_at = NULL,
    worker_id = NULL, suspect = NULL,
    expires_at = :now + (j.expires_at - CASE j.reruns WHEN 0 THEN j.created_at ELSE j.run_at END)
FROM again WHERE j.id = again.id
RETURNING j.id

-- name: count_places
SELECT child_id, count(*) AS n
FROM {p}place
WHERE child_id = ANY (CAST(:ids AS bigint[])) AND child_id BETWEEN 0 AND 4611686018427387904
GROUP BY child_id

-- name: measure_args
-- How many bytes the arguments have, and the results that come into them (again, in a re-run).
SELECT j.id, CAST(octet_length(CAST(j.args AS text)) AS bigint) AS args, CAST((
    SELECT coalesce(sum(octet_length(CAST(parent.result AS text))), 0)
    FROM {p}place AS p
    CROSS JOIN LATERAL (
        SELECT state, result FROM {p}job WHERE id = p.parent_id OFFSET 0
    ) AS parent
    WHERE p.child_id = j.id AND CASE parent.state WHEN 'succeeded' THEN true ELSE false END
) AS bigint) AS results
FROM {p}job AS j
WHERE j.id = ANY (CAST(:ids AS bigint[])) AND j.id BETWEEN 0 AND 4611686018427387904
ORDER BY j.id

-- name: fail_handed
WITH failed AS (
    UPDATE {p}job AS j
    SET state = 'failed', reason = 'unstorable', shelf = 'failed', finished_at = :now,
        waiting_key = NULL, blocked_on = NULL, error = CAST(given.error AS json)
    FROM unnest(CAST(:id AS bigint[]), CAST(:error AS text[])) AS given (id, error)
    WHERE j.id = given.id AND given.id BETWEEN 0 AND 4611686018427387904
        AND CASE j.state WHEN 'blocked' THEN true ELSE false END
    RETURNING j.id, j.queue
),
counted AS (
    INSERT INTO {p}tally (queue, state, n)
    SELECT queue, 'failed', count(*) FROM failed GROUP BY queue
)
SELECT id, queue FROM failed

-- name: read_places
SELECT p.child_id, p.pointer, parent.state, CAST(parent.result AS text) AS result
FROM {p}place AS p
LEFT JOIN LATERAL (
    SELECT state, result FROM {p}job WHERE id = p.parent_id OFFSET 0
) AS parent ON true
WHERE p.child_id = ANY (CAST(:ids AS bigint[]))
    AND p.child_id BETWEEN 0 AND 4611686018427387904
ORDER BY p.child_id, p.pointer

-- name: read_args
-- Locked until they are written again: nobody changes them in between.
SELECT j.id, CAST(j.args AS text) AS args
FROM unnest(CAST(:ids AS bigint[])) AS given (id)
CROSS JOIN LATERAL (
    SELECT id, args FROM {p}job
    WHERE id = given.id AND id BETWEEN 0 AND 4611686018427387904
    FOR UPDATE SKIP LOCKED
) AS j

-- name: fill_args
UPDATE {p}job AS j SET args = CAST(filled.args AS json)
FROM unnest(CAST(:id AS bigint[]), CAST(:args AS text[])) AS filled (id, args)
WHERE j.id = filled.id AND filled.id BETWEEN 0 AND 4611686018427387904
    AND CASE j.state WHEN 'blocked' THEN true ELSE false END

-- name: flow
SELECT f.*, m.flow_id AS parent_id,
    CAST(f.total + (
        SELECT coalesce(sum(n), 0) FROM {p}growth WHERE flow_id = f.id
    ) AS bigint) AS members
FROM {p}flow AS f LEFT JOIN {p}member AS m ON m.node_id = f.id
WHERE f.id = CAST(:id AS bigint)

-- name: newest_flows
SELECT f.*, m.flow_id AS parent_id,
    CAST(f.total + (
        SELECT coalesce(sum(n), 0) FROM {p}growth WHERE flow_id = f.id
    ) AS bigint) AS members
FROM (
    SELECT * FROM {p}flow
    WHERE id BETWEEN 0 AND CAST(:before AS bigint) - 1
        AND (CAST(:state AS text) IS NULL OR state = CAST(:state AS text))
    ORDER BY id DESC LIMIT CAST(:limit AS bigint)
) AS f
LEFT JOIN LATERAL (SELECT flow_id FROM {p}member WHERE node_id = f.id OFFSET 0) AS m ON true
ORDER BY f.id DESC

-- name: flow_members
-- The nodes of a flow in the order of their ids, jobs and flows alike.
SELECT
    m.node_id, m.role, greatest(m.waits, 0) AS waits, coalesce(j.state, f.state) AS state, j.reason, j.task,
    f.kind, f.name
FROM (
    SELECT node_id, role, waits FROM {p}member
    WHERE flow_id = CAST(:id AS bigint) AND node_id > CAST(:after AS bigint)
    ORDER BY node_id LIMIT CAST(:limit AS bigint)
) AS m
LEFT JOIN LATERAL (
    SELECT state, reason, task FROM {p}job WHERE id = m.node_id OFFSET 0
) AS j ON true
LEFT JOIN LATERAL (
    SELECT state, kind, name FROM {p}flow WHERE id = m.node_id OFFSET 0
) AS f ON true
ORDER BY m.node_id

-- name: kept_by_flows
-- Jobs of flows that have not ended.
SELECT m.node_id AS id
FROM {p}member AS m
CROSS JOIN LATERAL (SELECT state FROM {p}flow WHERE id = m.flow_id OFFSET 0) AS f
WHERE m.node_id = ANY (CAST(:ids AS bigint[]))
    AND m.node_id BETWEEN 0 AND 4611686018427387904 AND f.state = 'running'

-- name: forget_nodes
WITH edges AS (
    DELETE FROM {p}edge
    WHERE child_id = ANY (CAST(:ids AS bigint[])) AND child_id BETWEEN 0 AND 4611686018427387904
),
places AS (
    DELETE FROM {p}place
    WHERE child_id = ANY (CAST(:ids AS bigint[])) AND child_id BETWEEN 0 AND 4611686018427387904
),
growth AS (
    DELETE FROM {p}growth
    WHERE flow_id = ANY (CAST(:ids AS bigint[])) AND flow_id BETWEEN 0 AND 4611686018427387904
)
DELETE FROM {p}member
WHERE node_id = ANY (CAST(:ids AS bigint[])) AND node_id BETWEEN 0 AND 4611686018427387904
RETURNING flow_id

-- name: forget_flows
-- Of these, those that have no member left and do not run.
DELETE FROM {p}flow AS f
WHERE f.id = ANY (CAST(:ids AS bigint[])) AND f.state <> 'running'
    AND NOT EXISTS (SELECT 1 FROM {p}member AS m WHERE m.flow_id = f.id)
RETURNING f.id

-- name: prune_empty_flows
-- Nothing else leads to a flow without nodes.
DELETE FROM {p}flow AS f
WHERE f.id = ANY (ARRAY(
    SELECT old.id FROM {p}flow AS old
    WHERE old.total = 0 AND old.finished_at < :now - CAST(:age_us AS bigint)
        AND NOT EXISTS (SELECT 1 FROM {p}member AS m WHERE m.flow_id = old.id)
    LIMIT CAST(:limit AS bigint)
))
RETURNING f.id
