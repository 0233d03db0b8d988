-- name: hold_admission
-- Whoever writes is alone, so no earlier note comes to light later.
SELECT
    0 AS oldest, 0 AS own,
    EXISTS (SELECT 1 FROM {p}task_pause) AS has_pauses,
    EXISTS (SELECT 1 FROM {p}arrival) AS has_arrivals,
    EXISTS (SELECT 1 FROM {p}flow WHERE due_at <= :now) AS has_late_flows,
    (
        SELECT next_at - :now FROM {p}gate WHERE next_at IS NOT NULL ORDER BY next_at LIMIT 1
    ) AS gate_in_us

-- name: await_admission
-- Whoever writes is alone.
SELECT name FROM {p}duty WHERE name = 'admit'

-- part: looked
-- Of a job j, a row for each gate w of it, in the order in which look.looked takes them (no name
-- twice). One that was re-run has started, if not in this life.
j.id, j.state, j.marks, j.token, j.queue, j.priority, j.task, j.group_key, j.tenant,
CASE WHEN j.reruns > 0 THEN coalesce(j.started_at, :now) ELSE j.started_at END AS started_at,
CASE j.state WHEN 'blocked' THEN (
    SELECT a.job_id FROM {p}aside AS a WHERE a.task = j.task AND a.job_id = j.id LIMIT 1
) END IS NOT NULL AS is_aside,
w.kind, w.key, w.terms, w.place, w.line, w.token AS let_through

-- name: take_looks
-- What is noted, a row for each gate of each job; what is no job any more has one, too.
SELECT noted.newest, noted.notes, noted.job_id, {looked}
FROM (
    SELECT job_id, max(id) AS newest, count(*) AS notes
    FROM (SELECT id, job_id FROM {p}look WHERE id >= :since ORDER BY id LIMIT :limit)
    GROUP BY job_id
) AS noted
LEFT JOIN {p}job AS j ON j.id = noted.job_id
LEFT JOIN {p}gate_job AS w ON w.job_id = j.id AND j.marks & 1;
DELETE FROM {p}look
WHERE id IN (SELECT id FROM {p}look WHERE id >= :since ORDER BY id LIMIT :limit)

-- name: look_at
-- A job without a gate has one row, too.
SELECT {looked}
FROM {p}job AS j
LEFT JOIN {p}gate_job AS w ON w.job_id = j.id AND j.marks & 1
WHERE j.id IN (SELECT value FROM json_each(:ids))

-- name: admit
-- In the order in which they are given, each behind all that is queued. Who came before his time
-- waits for it; who expired meanwhile ends.
INSERT INTO {p}tally (queue, state, n)
SELECT queue, 'failed', count(*) FROM {p}job
WHERE id IN (SELECT value FROM json_each(:ids)) AND state = 'blocked' AND expires_at <= :now
GROUP BY queue;
UPDATE {p}job
SET state = CASE
        WHEN expires_at <= :now THEN 'failed'
        WHEN run_at > :now THEN 'scheduled'
        ELSE 'queued'
    END,
    reason = iif(expires_at <= :now, 'expired', NULL),
    shelf = iif(expires_at <= :now, 'failed', NULL),
    finished_at = iif(expires_at <= :now, :now, NULL),
    due_at = CASE
        WHEN expires_at <= :now THEN NULL
        WHEN run_at > :now THEN min(run_at, coalesce(expires_at, run_at))
    END,
    rank = iif(expires_at <= :now OR run_at > :now, NULL, chosen.place),
    queued_at = iif(expires_at <= :now OR run_at > :now, NULL, :now),
    blocked_on = NULL
FROM (
    SELECT value AS given, key + 1 + (
        SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = '{p}job'
    ) AS place
    FROM json_each(:ids)
) AS chosen
WHERE id = chosen.given AND state = 'blocked'
RETURNING id, queue, priority, state, rank;
UPDATE sqlite_sequence SET seq = seq + json_array_length(:ids) WHERE name = '{p}job'
