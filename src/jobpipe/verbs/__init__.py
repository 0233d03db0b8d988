"""The verbs of an application but for those that enqueue: each in a pair, one line each."""

from __future__ import annotations

from jobpipe.verbs.jobs import StoredJobs
from jobpipe.verbs.store import OwnStore
from jobpipe.verbs.whole import Whole


class Verbs(StoredJobs, Whole, OwnStore):
    """All verbs that need no more than what an application has been told."""
