-- Gates: what must open before a job may be queued. Enqueueing only adds rows to gate_job; rows of
-- gate are made and written by whoever admits, one at a time, but for what operators set.

-- terms are those of the newest job that named the gate (terms_of), override an operator's, both as
-- JSON. A gate is looked at when a job comes to it or leaves it, and at next_at, which whoever
-- changes it sets to 0. full_at: a rate's tokens are all there again then. fail_to: jobs of a group
-- up to this place are still to be cancelled.
CREATE TABLE {p}gate (
    kind text NOT NULL,
    key text NOT NULL,
    terms text,
    terms_of bigint NOT NULL DEFAULT 0,
    override text,
    paused_at bigint,
    paused_until bigint,
    paused_reason text,
    paused_by text,
    shut_until bigint,
    next_at bigint,
    full_at bigint NOT NULL DEFAULT 0,
    fail_to bigint,
    PRIMARY KEY (kind, key)
) WITH (fillfactor = 50);
CREATE INDEX gate_next ON {p}gate (next_at) WHERE next_at IS NOT NULL;

-- What a job wishes. It waits in one line at a time: line is set there, and the smaller is first.
-- token is set once the gate has let it through: the job's own at that moment. A place of 0 is to
-- be given anew.
CREATE TABLE {p}gate_job (
    job_id bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    terms text,
    place bigint NOT NULL,
    line smallint,
    token bigint,
    PRIMARY KEY (job_id, kind, key)
) WITH (fillfactor = 70);
CREATE INDEX gate_job_line ON {p}gate_job (kind, key, line, place) WHERE line IS NOT NULL;
CREATE INDEX gate_job_held ON {p}gate_job (kind, key) WHERE token IS NOT NULL;

-- Who has another priority now stands elsewhere in its line.
CREATE TRIGGER job_reordered BEFORE UPDATE OF priority ON {p}job FOR EACH ROW
WHEN (NEW.marks & 1 <> 0 AND OLD.priority <> NEW.priority AND NEW.state = 'blocked')
EXECUTE FUNCTION {p}note_look();
