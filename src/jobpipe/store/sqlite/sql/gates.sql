-- name: enqueue_wishes
INSERT INTO {p}gate_job (job_id, kind, key, terms, place)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 0 FROM json_each(:rows)

-- name: read_gates
-- Whom it has let through is judged by what became of them, see policy.gates. owed are all of them,
-- also who has started: his token is owed until a round has taken it. last is the place at the end
-- of the line.
SELECT
    wanted.value ->> 0 AS kind, wanted.value ->> 1 AS key, g.terms, g.terms_of, g.override,
    g.paused_at, g.paused_until, g.shut_until, g.next_at, g.full_at, g.fail_to,
    g.kind IS NOT NULL AS is_made,
    count(*) FILTER (WHERE j.state = 'queued') AS queued,
    count(*) FILTER (WHERE j.state = 'running') AS running,
    count(*) FILTER (WHERE j.state IN ('blocked', 'scheduled', 'retrying', 'parked')) AS waiting,
    count(*) FILTER (WHERE j.state = 'failed') AS failed,
    count(j.id) AS owed,
    (
        SELECT place FROM {p}gate_job
        WHERE kind = wanted.value ->> 0 AND key = wanted.value ->> 1 AND line IS NOT NULL
        ORDER BY line DESC, place DESC LIMIT 1
    ) AS last,
    :now AS now
FROM json_each(:rows) AS wanted
LEFT JOIN {p}gate AS g ON g.kind = wanted.value ->> 0 AND g.key = wanted.value ->> 1
LEFT JOIN {p}gate_job AS h INDEXED BY {p}gate_job_held
    ON h.kind = wanted.value ->> 0 AND h.key = wanted.value ->> 1 AND h.token IS NOT NULL
LEFT JOIN {p}job AS j ON j.id = h.job_id
GROUP BY wanted.key

-- name: make_gates
-- The newest job's terms win.
INSERT INTO {p}gate (kind, key, terms, terms_of)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:rows) WHERE true
ON CONFLICT (kind, key) DO UPDATE SET terms = excluded.terms, terms_of = excluded.terms_of

-- name: line_heads
SELECT gate.value ->> 0 AS gate_kind, gate.value ->> 1 AS gate_key, {looked}
FROM json_each(:rows) AS gate
CROSS JOIN {p}job AS j ON j.id IN (
    SELECT job_id FROM {p}gate_job
    WHERE kind = gate.value ->> 0 AND key = gate.value ->> 1 AND line IS NOT NULL
    ORDER BY line, place
    LIMIT :most
)
CROSS JOIN {p}gate_job AS w ON w.job_id = j.id

-- name: note_gate_jobs
UPDATE {p}gate_job
SET place = noted.place, line = noted.line, token = noted.token
FROM (
    SELECT v ->> 0 AS id, v ->> 1 AS kind, v ->> 2 AS key, v ->> 3 AS place, v ->> 4 AS line,
        v ->> 5 AS token
    FROM (SELECT value AS v FROM json_each(:rows) LIMIT -1 OFFSET 0)
) AS noted
WHERE job_id = noted.id AND {p}gate_job.kind = noted.kind AND {p}gate_job.key = noted.key

-- name: reserve_places
-- Ids, ranks and places are one sequence: whoever comes later stands behind.
UPDATE sqlite_sequence SET seq = seq + :n WHERE name = '{p}job';
WITH RECURSIVE free (id, n) AS (
    SELECT seq - :n + 1, 1 FROM sqlite_sequence WHERE name = '{p}job'
    UNION ALL
    SELECT id + 1, n + 1 FROM free WHERE n < :n
)
SELECT id FROM free

-- name: note_gates
UPDATE {p}gate
SET next_at = noted.value ->> 2, full_at = noted.value ->> 3, fail_to = noted.value ->> 4
FROM json_each(:rows) AS noted
WHERE kind = noted.value ->> 0 AND {p}gate.key = noted.value ->> 1
RETURNING kind

-- name: due_gates
SELECT kind, key FROM {p}gate WHERE next_at <= :now ORDER BY next_at LIMIT :limit

-- name: next_gate
SELECT next_at - :now AS in_us FROM {p}gate WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1

-- name: stale_holds
-- Queued and not claimed for so long, while jobs of another queue wait in the line.
SELECT j.id
FROM json_each(:rows) AS gate
CROSS JOIN {p}gate_job AS held INDEXED BY {p}gate_job_held
    ON held.kind = gate.value ->> 0 AND held.key = gate.value ->> 1 AND held.token IS NOT NULL
CROSS JOIN {p}job AS j ON j.id = held.job_id
WHERE j.state = 'queued' AND j.queued_at <= :now - :unclaimed_us
    AND EXISTS (
        SELECT 1
        FROM (
            SELECT job_id FROM {p}gate_job
            WHERE kind = gate.value ->> 0 AND key = gate.value ->> 1 AND line IS NOT NULL
            ORDER BY line, place
            LIMIT 100
        ) AS first
        CROSS JOIN {p}job AS other ON other.id = first.job_id
        WHERE other.queue <> j.queue
    )
LIMIT :limit

-- name: give_up
-- They go to the end of the line.
UPDATE {p}gate_job SET place = 0
WHERE job_id IN (SELECT value FROM json_each(:ids)) AND kind <> 'group';
UPDATE {p}job
SET state = 'blocked', shelf = 'blocked', rank = NULL, queued_at = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'queued'
RETURNING id

-- name: line_until
SELECT job_id FROM {p}gate_job
WHERE kind = :kind AND key = :key AND line IS NOT NULL AND place <= :place
ORDER BY line, place
LIMIT :limit

-- name: cancel_blocked
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'cancelled', count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'blocked'
GROUP BY queue;
UPDATE {p}job
SET state = 'cancelled', reason = :reason, shelf = 'cancelled', finished_at = :now,
    waiting_key = NULL, blocked_on = NULL
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'blocked'
RETURNING id, queue

-- name: note_blocked
UPDATE {p}job SET blocked_on = noted.gate
FROM (
    SELECT v ->> 0 AS id, v ->> 1 AS gate
    FROM (SELECT value AS v FROM json_each(:rows) LIMIT -1 OFFSET 0)
) AS noted
WHERE {p}job.id = noted.id AND state = 'blocked'

-- name: slow_gate
-- A gate that was forgotten is made anew.
INSERT INTO {p}gate (kind, key, terms, terms_of, shut_until, next_at)
SELECT kind, key, terms, job_id, :now + :shut_us, 0
FROM {p}gate_job WHERE job_id = :id AND kind = 'rate'
ON CONFLICT (kind, key) DO UPDATE
SET shut_until = max(coalesce(shut_until, 0), excluded.shut_until), next_at = 0
RETURNING key

-- name: gate_keys
SELECT kind, key FROM {p}gate WHERE (kind, key) > (:kind, :key) ORDER BY kind, key LIMIT :limit

-- name: prune_gates
-- A gate that nobody waits at, that holds nobody and of which nothing need be remembered is made
-- anew by the next job that names it.
DELETE FROM {p}gate
WHERE (kind, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(:rows))
    AND override IS NULL AND paused_at IS NULL
    AND fail_to IS NULL AND full_at <= :now AND coalesce(shut_until, 0) <= :now
    AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = {p}gate.kind AND w.key = {p}gate.key AND w.line IS NOT NULL
    )
    AND NOT EXISTS (
        SELECT 1 FROM {p}gate_job AS w
        WHERE w.kind = {p}gate.kind AND w.key = {p}gate.key AND w.token IS NOT NULL
    )
RETURNING key
