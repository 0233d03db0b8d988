-- name: draw_ids
-- Ids of flows come from those of jobs; an empty store has no row to count on yet.
INSERT INTO sqlite_sequence (name, seq)
SELECT '{p}job', 0 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{p}job');
UPDATE sqlite_sequence SET seq = seq + :n WHERE name = '{p}job';
WITH RECURSIVE drawn (id, n) AS (
    SELECT seq - :n + 1, 1 FROM sqlite_sequence WHERE name = '{p}job'
    UNION ALL
    SELECT id + 1, n + 1 FROM drawn WHERE n < :n
)
SELECT id FROM drawn

-- name: add_flows
INSERT INTO {p}flow (id, kind, name, policy, total, created_at, deadline_at, due_at)
SELECT
    value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, :now,
    :now + (value ->> 5), :now + (value ->> 5)
FROM json_each(:rows)

-- name: add_members
INSERT INTO {p}member (node_id, flow_id, role, waits)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:rows)

-- name: add_edges
INSERT INTO {p}edge (child_id, parent_id, need)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows)

-- name: add_places
INSERT INTO {p}place (child_id, pointer, parent_id)
SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(:rows)

-- name: add_growth
INSERT INTO {p}growth (flow_id, n) VALUES (:flow_id, :n)

-- name: note_looks
INSERT INTO {p}look (job_id) SELECT value FROM json_each(:ids)

-- name: note_rerun
-- Whoever waits for its end must hear that it has begun anew.
INSERT INTO {p}look (job_id) SELECT id FROM {p}job WHERE id = :id AND marks & 4

-- name: read_nodes
SELECT m.node_id, m.flow_id, m.role, m.waits, m.settled
FROM json_each(:ids) AS wanted
CROSS JOIN {p}member AS m ON m.node_id = wanted.value

-- name: read_flows
-- Those that are named, and the first ones whose deadline has passed.
SELECT * FROM {p}flow WHERE id IN (SELECT value FROM json_each(:ids))
UNION
SELECT * FROM (SELECT * FROM {p}flow WHERE due_at <= :now ORDER BY due_at LIMIT :late)

-- name: settle_nodes
UPDATE {p}member SET settled = ended.how
FROM (SELECT value ->> 0 AS id, value ->> 1 AS how FROM json_each(:rows)) AS ended
WHERE node_id = ended.id

-- name: take_growth
DELETE FROM {p}growth WHERE flow_id IN (SELECT value FROM json_each(:ids)) RETURNING flow_id, n

-- name: count_flows
UPDATE {p}flow
SET total = total + d.more, succeeded = succeeded + d.well, failed = failed + d.ill,
    cancelled = cancelled + d.off
FROM (
    SELECT
        value ->> 0 AS flow_id, value ->> 1 AS more, value ->> 2 AS well, value ->> 3 AS ill,
        value ->> 4 AS off
    FROM json_each(:rows)
) AS d
WHERE id = d.flow_id
RETURNING *

-- name: end_flows
UPDATE {p}flow SET state = ended.how, finished_at = :now, due_at = NULL, sweep = NULL
FROM (SELECT value ->> 0 AS flow_id, value ->> 1 AS how FROM json_each(:rows)) AS ended
WHERE id = ended.flow_id AND state = 'running'

-- name: stop_flows
-- What is left of them is cancelled from the beginning on, slice by slice.
UPDATE {p}flow SET ending = :ending, sweep = 'cancel', position = 0, due_at = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'running' AND ending IS NULL
RETURNING *

-- name: reopen_flows
UPDATE {p}flow
SET state = 'running', ending = NULL, sweep = 'rerun', position = 0, due_at = NULL,
    finished_at = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND (state <> 'running' OR ending IS NULL)
    AND failed + cancelled > 0
RETURNING *

-- name: lost_nodes
-- How many nodes of a flow are there no longer, as far as its totals are folded.
SELECT f.total - (
    SELECT count(*) FROM {p}member AS m WHERE m.flow_id = f.id AND m.role = 'node'
) AS n
FROM {p}flow AS f WHERE f.id = :id

-- name: note_sweep
UPDATE {p}flow SET sweep = :sweep, position = :position WHERE id = :id RETURNING *

-- name: flow_slice
SELECT node_id, flow_id, role, waits, settled
FROM {p}member WHERE flow_id = :id AND node_id > :after ORDER BY node_id LIMIT :limit

-- name: flow_callbacks
SELECT node_id, flow_id, role, waits, settled
FROM {p}member WHERE flow_id = :id AND role <> 'node'

-- name: open_edges_below
-- By parent, so that whoever asks knows of whom there may be more.
SELECT child_id, parent_id, need
FROM json_each(:ids) AS ended
CROSS JOIN {p}edge AS e ON e.parent_id = ended.value AND e.met = 0
ORDER BY e.parent_id, e.child_id
LIMIT :limit

-- name: open_edges_above
-- Those whose parents had ended before the child was looked at.
SELECT e.child_id, e.parent_id, e.need, m.settled
FROM json_each(:ids) AS waiting
CROSS JOIN {p}edge AS e ON e.child_id = waiting.value
CROSS JOIN {p}member AS m ON m.node_id = e.parent_id
WHERE e.met = 0 AND m.settled IS NOT NULL
ORDER BY e.child_id, e.parent_id
LIMIT :limit

-- name: unfit_parents
-- Of those that once let it go: what runs anew, or has not ended as it has to. What is gone was
-- not in its way then.
SELECT e.parent_id
FROM {p}edge AS e
JOIN {p}member AS m ON m.node_id = e.parent_id
WHERE e.child_id = :id AND e.met = 1 AND NOT (
    m.settled IS NOT NULL
    AND (e.need = 'any' OR (m.settled = 'succeeded') = (e.need = 'success'))
)
LIMIT 1

-- name: meet_edges
UPDATE {p}edge SET met = 1
WHERE (child_id, parent_id) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:rows))

-- name: lower_waits
UPDATE {p}member SET waits = waits - met.n
FROM (SELECT value ->> 0 AS id, value ->> 1 AS n FROM json_each(:rows)) AS met
WHERE node_id = met.id
RETURNING node_id, waits

-- name: raise_waits
-- All that they come after counts anew.
UPDATE {p}edge SET met = 0 WHERE child_id IN (SELECT value FROM json_each(:ids));
UPDATE {p}member SET waits = (SELECT count(*) FROM {p}edge WHERE child_id = node_id)
WHERE node_id IN (SELECT value FROM json_each(:ids))

-- name: cancel_by_flow
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'cancelled', count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids))
    AND state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked')
GROUP BY queue;
UPDATE {p}job
SET state = 'cancelled', reason = 'by_flow', shelf = 'cancelled', finished_at = :now,
    rank = NULL, due_at = NULL, waiting_key = NULL, blocked_on = NULL
WHERE id IN (SELECT value FROM json_each(:ids))
    AND state IN ('blocked', 'scheduled', 'queued', 'retrying', 'parked')
RETURNING id, queue

-- name: request_cancels
INSERT INTO {p}cancel_request (job_id, token, worker_id)
SELECT id, token, worker_id FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'running'
ON CONFLICT (job_id) DO UPDATE SET token = excluded.token, worker_id = excluded.worker_id;
UPDATE {p}job
SET cancel_reason = iif(cancel_requested_at IS NULL, 'by_flow', cancel_reason),
    cancel_requested_at = coalesce(cancel_requested_at, :now)
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'running'

-- name: rerun_nodes
-- Like a re-run, but each comes back behind what it comes after.
INSERT INTO {p}attempt (
    job_id, token, number, outcome, reason, worker, host, pid, started_at, finished_at, error
)
SELECT
    j.id, j.token, j.attempt, j.state, j.reason, w.name, w.host, w.pid,
    j.started_at, j.finished_at, j.error
FROM json_each(:ids) AS again
CROSS JOIN {p}job AS j ON j.id = again.value
LEFT JOIN {p}worker AS w ON w.id = j.worker_id
WHERE j.started_at IS NOT NULL AND j.state IN ('failed', 'cancelled')
ON CONFLICT (job_id, token) DO NOTHING;
INSERT INTO {p}tally (queue, state, n)
SELECT queue, state, -count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('failed', 'cancelled')
GROUP BY queue, state;
DELETE FROM {p}progress WHERE job_id IN (
    SELECT id FROM {p}job
    WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('failed', 'cancelled')
);
UPDATE {p}job
SET state = 'blocked', reason = NULL, shelf = 'blocked', attempt = 0, losses = 0,
    reruns = reruns + 1, result = NULL, error = NULL, started_at = NULL, finished_at = NULL,
    cancel_requested_at = NULL, cancel_reason = NULL, run_at = :now, queued_at = NULL,
    worker_id = NULL, suspect = NULL,
    expires_at = :now + (expires_at - iif(reruns = 0, created_at, run_at))
WHERE id IN (SELECT value FROM json_each(:ids)) AND state IN ('failed', 'cancelled')
RETURNING id

-- name: count_places
SELECT p.child_id, count(*) AS n
FROM json_each(:ids) AS free
CROSS JOIN {p}place AS p ON p.child_id = free.value
GROUP BY p.child_id

-- name: measure_args
-- How many bytes the arguments have, and the results that come into them (again, in a re-run).
SELECT j.id, length(CAST(j.args AS BLOB)) AS args, (
    SELECT coalesce(sum(length(CAST(parent.result AS BLOB))), 0)
    FROM {p}place AS p CROSS JOIN {p}job AS parent ON parent.id = p.parent_id
    WHERE p.child_id = j.id AND parent.state = 'succeeded'
) AS results
FROM {p}job AS j
WHERE j.id IN (SELECT value FROM json_each(:ids))
ORDER BY j.id

-- name: fail_handed
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'failed', count(*) FROM {p}job
WHERE id IN (SELECT value ->> 0 FROM json_each(:rows)) AND state = 'blocked'
GROUP BY queue;
UPDATE {p}job
SET state = 'failed', reason = 'unstorable', shelf = 'failed', finished_at = :now,
    waiting_key = NULL, blocked_on = NULL, error = given.text
FROM (SELECT value ->> 0 AS job_id, value ->> 1 AS text FROM json_each(:rows)) AS given
WHERE id = given.job_id AND state = 'blocked'
RETURNING id, queue

-- name: read_places
SELECT p.child_id, p.pointer, parent.state, parent.result
FROM json_each(:ids) AS free
CROSS JOIN {p}place AS p ON p.child_id = free.value
LEFT JOIN {p}job AS parent ON parent.id = p.parent_id
ORDER BY p.child_id, p.pointer

-- name: read_args
SELECT id, args FROM {p}job WHERE id IN (SELECT value FROM json_each(:ids))

-- name: fill_args
UPDATE {p}job SET args = filled.text
FROM (SELECT value ->> 0 AS job_id, value ->> 1 AS text FROM json_each(:rows)) AS filled
WHERE id = filled.job_id AND state = 'blocked'

-- name: flow
SELECT f.*, m.flow_id AS parent_id,
    f.total + (SELECT coalesce(sum(n), 0) FROM {p}growth WHERE flow_id = f.id) AS members
FROM {p}flow AS f LEFT JOIN {p}member AS m ON m.node_id = f.id
WHERE f.id = :id

-- name: newest_flows
SELECT f.*, m.flow_id AS parent_id,
    f.total + (SELECT coalesce(sum(n), 0) FROM {p}growth WHERE flow_id = f.id) AS members
FROM {p}flow AS f LEFT JOIN {p}member AS m ON m.node_id = f.id
WHERE f.id < :before AND (:state IS NULL OR f.state = :state)
ORDER BY f.id DESC LIMIT :limit

-- name: flow_members
-- The nodes of a flow in the order of their ids, jobs and flows alike.
SELECT
    m.node_id, m.role, max(m.waits, 0) AS waits, coalesce(j.state, f.state) AS state, j.reason, j.task,
    f.kind, f.name
FROM {p}member AS m
LEFT JOIN {p}job AS j ON j.id = m.node_id
LEFT JOIN {p}flow AS f ON f.id = m.node_id
WHERE m.flow_id = :id AND m.node_id > :after
ORDER BY m.node_id LIMIT :limit

-- name: kept_by_flows
-- Jobs of flows that have not ended.
SELECT m.node_id AS id
FROM json_each(:ids) AS old
CROSS JOIN {p}member AS m ON m.node_id = old.value
CROSS JOIN {p}flow AS f ON f.id = m.flow_id AND f.state = 'running'

-- name: forget_nodes
DELETE FROM {p}edge WHERE child_id IN (SELECT value FROM json_each(:ids));
DELETE FROM {p}place WHERE child_id IN (SELECT value FROM json_each(:ids));
DELETE FROM {p}growth WHERE flow_id IN (SELECT value FROM json_each(:ids));
DELETE FROM {p}member WHERE node_id IN (SELECT value FROM json_each(:ids))
RETURNING flow_id

-- name: forget_flows
-- Of these, those that have no member left and do not run.
DELETE FROM {p}flow
WHERE id IN (SELECT value FROM json_each(:ids)) AND state <> 'running'
    AND NOT EXISTS (SELECT 1 FROM {p}member WHERE flow_id = {p}flow.id)
RETURNING id

-- name: prune_empty_flows
-- Nothing else leads to a flow without nodes.
DELETE FROM {p}flow
WHERE id IN (
    SELECT old.id FROM {p}flow AS old
    WHERE old.total = 0 AND old.finished_at < :now - :age_us
        AND NOT EXISTS (SELECT 1 FROM {p}member WHERE flow_id = old.id)
    LIMIT :limit
)
RETURNING id
