-- name: arrivals
-- Whose jobs are on their way to a line: from one tenant to the next, and not over all their jobs.
WITH RECURSIVE found (id, number) AS (
    SELECT (SELECT id FROM {p}arrival ORDER BY queue, tenant, id LIMIT 1), 1
    UNION ALL
    SELECT (
        SELECT n.id FROM {p}arrival AS n
        WHERE (n.queue, n.tenant) > (a.queue, a.tenant)
        ORDER BY n.queue, n.tenant, n.id
        LIMIT 1
    ), found.number + 1
    FROM found
    CROSS JOIN {p}arrival AS a ON a.id = found.id
    WHERE found.number < :limit
)
SELECT a.queue, a.tenant FROM found CROSS JOIN {p}arrival AS a ON a.id = found.id

-- name: take_arrivals
DELETE FROM {p}arrival WHERE id IN (
    SELECT a.id
    FROM json_each(:rows) AS given
    CROSS JOIN {p}arrival AS a ON a.id IN (
        SELECT id FROM {p}arrival
        WHERE queue = given.value ->> 0 AND tenant = given.value ->> 1
        ORDER BY id
        LIMIT :limit
    )
)
RETURNING job_id, queue, tenant

-- name: tenant_rows
-- Where jobs stand: in a line, or let go (which alone has a token).
SELECT l.job_id, l.queue, l.tenant, l.urgency, NULL AS token
FROM json_each(:ids) AS given CROSS JOIN {p}line AS l ON l.job_id = given.value
UNION ALL
SELECT l.job_id, l.queue, l.tenant, NULL, l.token
FROM json_each(:ids) AS given CROSS JOIN {p}let_go AS l ON l.job_id = given.value

-- name: leave_lines
UPDATE {p}tenant SET waiting = waiting - fewer.n
FROM (
    SELECT l.queue, l.tenant, count(*) AS n
    FROM json_each(:ids) AS given CROSS JOIN {p}line AS l ON l.job_id = given.value
    GROUP BY l.queue, l.tenant
) AS fewer
WHERE {p}tenant.queue = fewer.queue AND {p}tenant.name = fewer.tenant;
DELETE FROM {p}line WHERE job_id IN (SELECT value FROM json_each(:ids)) RETURNING job_id

-- name: forget_let_go
DELETE FROM {p}let_go WHERE job_id IN (SELECT value FROM json_each(:ids)) RETURNING job_id

-- name: join_lines
-- Who begins to wait starts at the clock of the queue at the earliest.
INSERT INTO {p}fair_queue (queue) SELECT DISTINCT value ->> 1 FROM json_each(:rows) WHERE true
ON CONFLICT (queue) DO NOTHING;
INSERT INTO {p}tenant (queue, name, tag, since, waiting, urgency)
SELECT
    value ->> 1, value ->> 2,
    (SELECT clock FROM {p}fair_queue WHERE queue = value ->> 1),
    min(value ->> 0), count(*), min(value ->> 3)
FROM json_each(:rows)
WHERE true
GROUP BY value ->> 1, value ->> 2
ON CONFLICT (queue, name) DO UPDATE
SET waiting = waiting + excluded.waiting,
    tag = iif(waiting = 0, max(tag, excluded.tag), tag),
    since = iif(waiting = 0, excluded.since, since),
    urgency = min(urgency, excluded.urgency),
    place = iif(excluded.urgency < urgency, 0, place);
INSERT INTO {p}line (job_id, queue, tenant, urgency)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:rows) ORDER BY key
RETURNING job_id

-- name: fair_queues
-- Those of the queues in which somebody waits.
SELECT f.queue, f.clock, f.low, f.first
FROM json_each(:queues) AS given
CROSS JOIN {p}fair_queue AS f ON f.queue = given.value
WHERE EXISTS (
    SELECT 1 FROM {p}tenant AS t
    WHERE t.queue = f.queue AND t.waiting > 0 AND t.tag >= f.low
)

-- name: count_let_go
-- What had its turn and has not started, judged by the jobs themselves; what does not count any
-- more is forgotten.
DELETE FROM {p}let_go WHERE place IN (
    SELECT l.place
    FROM {p}let_go AS l
    LEFT JOIN {p}job AS held ON held.id = l.job_id AND held.token = l.token
        AND (held.state = 'queued' OR held.state = 'blocked')
    WHERE l.queue = :queue AND l.place >= :first AND held.id IS NULL
);
SELECT l.tenant, held.state, count(*) AS n, min(l.place) AS first
FROM {p}let_go AS l
CROSS JOIN {p}job AS held ON held.id = l.job_id
WHERE l.queue = :queue AND l.place >= :first
GROUP BY l.tenant, held.state

-- name: fleet
SELECT queues, sum(slots) AS slots
FROM {p}worker WHERE ended_at IS NULL AND lease_until > :now
GROUP BY queues

-- name: next_tenants
SELECT name, coalesce(weight, 1) AS weight, tag, waiting
FROM {p}tenant
WHERE queue = :queue AND waiting > 0 AND tag >= :low
ORDER BY tag, since
LIMIT :limit

-- name: heads
-- The first of the lines of these tenants, as they stand.
SELECT l.tenant, l.urgency, l.place, l.job_id AS id
FROM json_each(:tenants) AS given
CROSS JOIN {p}tenant AS t ON t.queue = :queue AND t.name = given.value
CROSS JOIN {p}line AS l ON l.place IN (
    SELECT place FROM {p}line
    WHERE queue = t.queue AND tenant = t.name AND (urgency, place) >= (t.urgency, t.place)
    ORDER BY urgency, place
    LIMIT :limit
)
ORDER BY l.tenant, l.urgency, l.place

-- name: note_turns
UPDATE {p}tenant SET tag = given.tag, urgency = given.urgency, place = given.place
FROM (
    SELECT
        value ->> 0 AS queue, value ->> 1 AS tenant, value ->> 2 AS tag, value ->> 3 AS urgency,
        value ->> 4 AS place
    FROM json_each(:rows)
) AS given
WHERE {p}tenant.queue = given.queue AND {p}tenant.name = given.tenant
RETURNING name

-- name: note_let_go
INSERT INTO {p}let_go (job_id, queue, tenant, token)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each(:rows) ORDER BY key
RETURNING place

-- name: note_clock
-- A tenant that is owed nothing and owes nothing is as good as one that nobody knows: a few are
-- forgotten each time.
DELETE FROM {p}tenant WHERE queue = :queue AND name IN (
    SELECT name FROM {p}tenant
    WHERE queue = :queue AND waiting = 0 AND weight IS NULL AND tag <= :clock
    ORDER BY tag
    LIMIT 100
);
UPDATE {p}fair_queue SET clock = :clock, low = :low, first = :first WHERE queue = :queue
RETURNING queue

-- name: look_again
-- Durably, so that whoever does the next round finds these queues.
INSERT INTO {p}look (job_id)
SELECT min(l.job_id)
FROM json_each(:queues) AS given
CROSS JOIN {p}line AS l ON l.place = (SELECT place FROM {p}line WHERE queue = given.value LIMIT 1)
GROUP BY given.value
RETURNING job_id
