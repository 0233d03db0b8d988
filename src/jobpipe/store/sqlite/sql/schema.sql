-- name: schema_exists
SELECT count(*) AS n FROM sqlite_schema WHERE type = 'table' AND name = '{p}migration'

-- name: schema_parts
SELECT type AS kind, name FROM sqlite_schema

-- name: applied_migrations
SELECT version FROM {p}migration ORDER BY version

-- name: create_migrations
CREATE TABLE IF NOT EXISTS {p}migration (
    version INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT

-- name: note_migration
INSERT INTO {p}migration (version, name, applied_at) VALUES (:version, :name, :now)
