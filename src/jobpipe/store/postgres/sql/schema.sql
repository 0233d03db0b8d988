-- name: schema_exists
SELECT count(*) AS n
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = CAST(:schema AS text) AND c.relname = 'migration' AND c.relkind = 'r'

-- name: applied_migrations
SELECT version FROM {p}migration ORDER BY version

-- name: lock_schema
-- One process at a time, until its transaction ends; the others wait for it.
SELECT pg_advisory_xact_lock(hashtextextended('jobpipe schema ' || CAST(:schema AS text), 0))

-- name: limit_lock_wait
-- A migration that waits for a table makes everybody wait behind it, so it gives up soon.
SELECT
    set_config('lock_timeout', '2s', true),
    set_config('jobpipe.schema', CAST(:schema AS text), true)

-- name: create_schema
-- CREATE SCHEMA IF NOT EXISTS would ask for the right to create even where nothing is missing.
DO $$
DECLARE
    wanted text = current_setting('jobpipe.schema');
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = wanted) THEN
        EXECUTE 'CREATE SCHEMA ' || quote_ident(wanted);
    END IF;
END $$

-- name: create_migrations
CREATE TABLE IF NOT EXISTS {p}migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    applied_at bigint NOT NULL
)

-- name: note_migration
INSERT INTO {p}migration (version, name, applied_at)
VALUES (CAST(:version AS integer), CAST(:name AS text), :now)

-- name: invalid_indexes
-- An index that a broken-off build left behind serves nobody.
SELECT c.relname AS name
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = CAST(:schema AS text) AND NOT (i.indisvalid AND i.indisready)
ORDER BY c.relname

-- name: unproven_constraints
SELECT k.conname AS name
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_namespace AS s ON s.oid = k.connamespace
WHERE s.nspname = CAST(:schema AS text) AND NOT k.convalidated
ORDER BY k.conname

-- name: schema_parts
-- A trigger that is switched off is as good as missing.
SELECT CASE c.relkind WHEN 'i' THEN 'index' ELSE 'table' END AS kind, c.relname AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = CAST(:schema AS text) AND c.relkind IN ('r', 'i')
UNION ALL
SELECT 'trigger', t.tgname
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = CAST(:schema AS text) AND t.tgenabled IN ('O', 'A')

-- name: edges
-- The condition of the trigger that refuses illegal steps, as the server shows it.
SELECT pg_get_triggerdef(t.oid) AS definition
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace AS s ON s.oid = c.relnamespace
WHERE s.nspname = CAST(:schema AS text) AND c.relname = 'job' AND t.tgname = 'job_edges'

-- name: drop_bench_schema
-- The name is looked at here once more: nothing that holds somebody's jobs is ever dropped.
DO $$
DECLARE
    unwanted text = current_setting('jobpipe.schema');
BEGIN
    IF left(unwanted, 14) <> 'jobpipe_bench_' THEN
        RAISE EXCEPTION 'jobpipe: % is no schema of a bench', unwanted;
    END IF;
    EXECUTE 'DROP SCHEMA IF EXISTS ' || quote_ident(unwanted) || ' CASCADE';
END $$
