"""Reads all jobs that wait, page by page, whatever else the store holds."""

from __future__ import annotations

from operator import attrgetter

from msgspec import Struct

from jobpipe.store.port import Mode, Op, Statement, operation

SLICE = 5_000
"""How many jobs, also such as have ended, one page looks at."""

PAGE_CHARACTERS = 16 * 1024 * 1024
"""Arguments of one page beyond which it ends: always after one job at least."""


class WaitingJob(Struct, frozen=True, gc=False):
    """A job that waits, as far as it matters whether it can run."""

    id: int
    task: str
    args: str
    is_handed: bool
    """Results of other jobs are still to be put into its arguments."""


class WaitingPage(Struct, frozen=True):
    """The next of them."""

    jobs: list[WaitingJob]
    position: int | None
    """Beyond which id the next page begins; None after the last one."""


@operation(Mode.READ)
def waiting_page(after: int) -> Op[WaitingPage]:
    """Read waiting and parked jobs beyond the id ``after``, by id.

    A job that goes from one state to another meanwhile keeps its id, so none is missed.
    """
    (reach,) = yield Statement("waiting_reach", {"after": after, "limit": SLICE})
    if reach["reached"] is None:
        return WaitingPage([], None)
    params = {"after": after, "reached": reach["reached"], "characters": PAGE_CHARACTERS}
    found = yield Statement("waiting_page", params)
    jobs = sorted(
        [WaitingJob(row["id"], row["task"], row["args"], bool(row["is_handed"])) for row in found],
        key=attrgetter("id"),
    )
    is_cut = sum(len(job.args) for job in jobs) >= PAGE_CHARACTERS
    return WaitingPage(jobs, jobs[-1].id if is_cut else reach["reached"])
