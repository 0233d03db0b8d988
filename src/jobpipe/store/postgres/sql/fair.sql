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
    CROSS JOIN LATERAL (
        SELECT queue, tenant FROM {p}arrival WHERE id = found.id LIMIT 1
    ) AS a
    WHERE found.number < CAST(:limit AS integer)
)
SELECT a.queue, a.tenant
FROM found
CROSS JOIN LATERAL (SELECT queue, tenant FROM {p}arrival WHERE id = found.id LIMIT 1) AS a

-- name: take_arrivals
DELETE FROM {p}arrival WHERE id = ANY (ARRAY(
    SELECT first.id
    FROM unnest(CAST(:queue AS text[]), CAST(:tenant AS text[])) AS given (queue, tenant)
    CROSS JOIN LATERAL (
        SELECT a.id FROM {p}arrival AS a
        WHERE a.queue = given.queue AND a.tenant = given.tenant
        ORDER BY a.id
        LIMIT CAST(:limit AS bigint)
    ) AS first
))
RETURNING job_id, queue, tenant

-- name: tenant_rows
-- Where jobs stand: in a line, or let go (which alone has a token).
SELECT given.id AS job_id, found.queue, found.tenant, found.urgency, found.token
FROM unnest(CAST(:ids AS bigint[])) AS given (id)
CROSS JOIN LATERAL (
    SELECT queue, tenant, urgency, CAST(NULL AS bigint) AS token
    FROM {p}line WHERE job_id = given.id
    UNION ALL
    SELECT queue, tenant, CAST(NULL AS smallint), token
    FROM {p}let_go WHERE job_id = given.id
) AS found

-- name: leave_lines
-- Where rows are given, here and below, two bounds let the planner expect few of them, so that it
-- takes each by its key.
WITH gone AS (
    DELETE FROM {p}line AS l USING unnest(CAST(:ids AS bigint[])) AS given (id)
    WHERE l.job_id = given.id AND given.id BETWEEN 0 AND 4611686018427387904
    RETURNING l.job_id, l.queue, l.tenant
),
counted AS (
    UPDATE {p}tenant AS t SET waiting = waiting - n
    FROM (SELECT queue, tenant, count(*) AS n FROM gone GROUP BY queue, tenant) AS fewer
    WHERE t.queue = fewer.queue AND t.name = fewer.tenant AND n BETWEEN 1 AND 1000000000
)
SELECT job_id FROM gone

-- name: forget_let_go
DELETE FROM {p}let_go WHERE job_id = ANY (CAST(:ids AS bigint[])) RETURNING job_id

-- name: join_lines
-- Who begins to wait starts at the clock of the queue at the earliest.
WITH given AS MATERIALIZED (
    SELECT job_id, queue, tenant, urgency, number
    FROM unnest(
        CAST(:job_id AS bigint[]), CAST(:queue AS text[]), CAST(:tenant AS text[]),
        CAST(:urgency AS smallint[])
    ) WITH ORDINALITY AS g (job_id, queue, tenant, urgency, number)
),
known AS (
    INSERT INTO {p}fair_queue (queue) SELECT DISTINCT queue FROM given
    ON CONFLICT (queue) DO NOTHING
),
counted AS (
    INSERT INTO {p}tenant AS t (queue, name, tag, since, waiting, urgency)
    SELECT
        g.queue, g.tenant,
        coalesce((SELECT clock FROM {p}fair_queue AS f WHERE f.queue = g.queue), 0),
        min(g.job_id), count(*), min(g.urgency)
    FROM given AS g
    GROUP BY g.queue, g.tenant
    ON CONFLICT (queue, name) DO UPDATE
    SET waiting = t.waiting + excluded.waiting,
        tag = CASE WHEN t.waiting = 0 THEN greatest(t.tag, excluded.tag) ELSE t.tag END,
        since = CASE WHEN t.waiting = 0 THEN excluded.since ELSE t.since END,
        urgency = least(t.urgency, excluded.urgency),
        place = CASE WHEN excluded.urgency < t.urgency THEN 0 ELSE t.place END
)
INSERT INTO {p}line (job_id, queue, tenant, urgency)
SELECT job_id, queue, tenant, urgency FROM given ORDER BY number
RETURNING job_id

-- name: fair_queues
-- Those of the queues in which somebody waits.
SELECT f.queue, f.clock, f.low, f.first
FROM {p}fair_queue AS f
WHERE f.queue = ANY (CAST(:queues AS text[])) AND EXISTS (
    SELECT 1 FROM {p}tenant AS t WHERE t.queue = f.queue AND t.waiting > 0 AND t.tag >= f.low
)

-- name: count_let_go
-- What had its turn and has not started, judged by the jobs themselves; what does not count any
-- more is forgotten.
WITH held AS MATERIALIZED (
    SELECT l.place, l.tenant, found.state
    FROM {p}let_go AS l
    LEFT JOIN LATERAL (
        SELECT CASE WHEN j.token = l.token AND j.state IN ('queued', 'blocked') THEN j.state END
            AS state
        FROM {p}job AS j WHERE j.id = l.job_id LIMIT 1
    ) AS found ON true
    WHERE l.queue = CAST(:queue AS text) AND l.place >= CAST(:first AS bigint)
),
gone AS (
    DELETE FROM {p}let_go
    WHERE place = ANY (ARRAY(SELECT place FROM held WHERE state IS NULL))
)
SELECT tenant, state, count(*) AS n, min(place) AS first
FROM held WHERE state IS NOT NULL
GROUP BY tenant, state

-- name: fleet
SELECT CAST(queues AS text) AS queues, sum(slots) AS slots
FROM {p}worker WHERE ended_at IS NULL AND lease_until > :now
GROUP BY CAST(queues AS text)

-- name: next_tenants
SELECT name, coalesce(weight, 1) AS weight, tag, waiting
FROM {p}tenant
WHERE queue = CAST(:queue AS text) AND waiting > 0
    AND tag BETWEEN CAST(:low AS bigint) AND 4611686018427387904
ORDER BY tag, since
LIMIT CAST(:limit AS bigint)

-- name: heads
-- The first of the lines of these tenants, as they stand.
SELECT head.tenant, head.urgency, head.place, head.job_id AS id
FROM unnest(CAST(:tenants AS text[])) AS given (tenant)
CROSS JOIN LATERAL (
    SELECT t.urgency, t.place FROM {p}tenant AS t
    WHERE t.queue = CAST(:queue AS text) AND t.name = given.tenant
    LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT l.tenant, l.job_id, l.urgency, l.place FROM {p}line AS l
    WHERE l.queue = CAST(:queue AS text) AND l.tenant = given.tenant
        AND (l.urgency, l.place) >= (t.urgency, t.place)
    ORDER BY l.urgency, l.place
    LIMIT CAST(:limit AS bigint)
) AS head
ORDER BY head.tenant, head.urgency, head.place

-- name: note_turns
UPDATE {p}tenant AS t SET tag = given.tag, urgency = given.urgency, place = given.place
FROM unnest(
    CAST(:queue AS text[]), CAST(:tenant AS text[]), CAST(:tag AS bigint[]),
    CAST(:urgency AS smallint[]), CAST(:place AS bigint[])
) AS given (queue, tenant, tag, urgency, place)
WHERE t.queue = given.queue AND t.name = given.tenant
    AND given.tag BETWEEN 0 AND 4611686018427387904
RETURNING t.name

-- name: note_let_go
INSERT INTO {p}let_go (job_id, queue, tenant, token)
SELECT job_id, queue, tenant, token
FROM unnest(
    CAST(:job_id AS bigint[]), CAST(:queue AS text[]), CAST(:tenant AS text[]),
    CAST(:token AS bigint[])
) AS given (job_id, queue, tenant, token)
RETURNING place

-- name: note_clock
-- A tenant that is owed nothing and owes nothing is as good as one that nobody knows: a few are
-- forgotten each time, unless somebody weighs them just now.
WITH idle AS MATERIALIZED (
    SELECT queue, name, tag FROM {p}tenant
    WHERE queue = CAST(:queue AS text) AND waiting = 0 AND weight IS NULL
        AND tag <= CAST(:clock AS bigint)
    ORDER BY tag
    LIMIT 100
    FOR UPDATE SKIP LOCKED
),
forgotten AS (
    DELETE FROM {p}tenant AS t USING idle
    WHERE t.queue = idle.queue AND t.name = idle.name
        AND idle.tag BETWEEN 0 AND 4611686018427387904
)
UPDATE {p}fair_queue
SET clock = CAST(:clock AS bigint), low = CAST(:low AS bigint), first = CAST(:first AS bigint)
WHERE queue = CAST(:queue AS text)
RETURNING queue

-- name: look_again
-- Durably, so that whoever does the next round finds these queues.
INSERT INTO {p}look (job_id)
SELECT head.job_id
FROM unnest(CAST(:queues AS text[])) AS given (queue)
CROSS JOIN LATERAL (
    SELECT low FROM {p}fair_queue WHERE queue = given.queue LIMIT 1
) AS f
CROSS JOIN LATERAL (
    SELECT t.name, t.urgency, t.place FROM {p}tenant AS t
    WHERE t.queue = given.queue AND t.waiting > 0
        AND t.tag BETWEEN f.low AND 4611686018427387904
    ORDER BY t.tag, t.since
    LIMIT 1
) AS t
CROSS JOIN LATERAL (
    SELECT l.job_id FROM {p}line AS l
    WHERE l.queue = given.queue AND l.tenant = t.name
        AND (l.urgency, l.place) >= (t.urgency, t.place)
    ORDER BY l.urgency, l.place
    LIMIT 1
) AS head
RETURNING job_id
