-- What a running job says: its log, how far it is, and where its next attempt goes on.

CREATE TABLE {p}log (
    job_id INTEGER NOT NULL,
    token INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    level INTEGER NOT NULL,
    logger TEXT NOT NULL,
    message TEXT NOT NULL,
    fields TEXT,
    PRIMARY KEY (job_id, token, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE {p}progress (
    job_id INTEGER PRIMARY KEY,
    token INTEGER NOT NULL,
    at INTEGER NOT NULL,
    done REAL NOT NULL,
    total REAL,
    note TEXT
) STRICT;

CREATE TABLE {p}checkpoint (
    job_id INTEGER PRIMARY KEY,
    token INTEGER NOT NULL,
    at INTEGER NOT NULL,
    state TEXT NOT NULL
) STRICT;

-- A suspect was running when its worker died: it runs again alone. NULL means no.
ALTER TABLE {p}job ADD COLUMN suspect INTEGER;

ALTER TABLE {p}worker ADD COLUMN supervisor_pid INTEGER;
ALTER TABLE {p}worker ADD COLUMN supervisor_started TEXT;
