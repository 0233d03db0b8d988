"""Gates in whole applications: workers never pass them, and never forget who waits."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from jobpipe import Concurrency, Group, Jobpipe, Rate, Retry, State
from jobpipe.errors import ConfigError, InvalidArguments
from tests.conformance.app.site import Site


class Meter:
    """Counts what runs at a time."""

    def __init__(self) -> None:
        self.now = self.most = self.total = 0
        self.order: list[int] = []

    async def run(self, number: int) -> None:
        self.now += 1
        self.total += 1
        self.order.append(number)
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.01)
        self.now -= 1


def test_no_more_jobs_run_at_a_time_than_the_task_allows(site: Site) -> None:
    jp, meter = site.jobpipe(), Meter()

    @jp.task(concurrency=2)
    async def limited(number: int) -> None:
        await meter.run(number)

    ids = site.do(jp, "enqueue_many", [limited.call(number) for number in range(12)])
    with site.running(jp, concurrency=8):
        for id in ids:
            site.result(site.do(jp, "job", id))
    assert (meter.most, meter.total) == (2, 12)


def test_keys_of_arguments_are_counted_apart(site: Site) -> None:
    jp, meters = site.jobpipe(), {"a": Meter(), "b": Meter()}

    @jp.task(concurrency=Concurrency(1, key="user-{user}"))
    async def mail(user: str, number: int = 0) -> None:
        await meters[user].run(number)

    with site.running(jp, concurrency=8):
        calls = [mail.call(user, number) for number in range(6) for user in "ab"]
        for id in site.do(jp, "enqueue_many", calls):
            site.result(site.do(jp, "job", id))
    assert [meter.most for meter in meters.values()] == [1, 1]


def test_a_group_runs_in_order_over_retries(site: Site) -> None:
    jp = site.jobpipe()
    order: list[int] = []

    @jp.task(group="user-{user}", retry_delays=(0,))
    def step(user: int, number: int) -> None:
        order.append(number)
        if order.count(number) == 1 and number % 3 == 0:
            raise ValueError("once more")

    with site.running(jp, concurrency=4):
        jobs = [site.enqueue(step, 7, number) for number in range(7)]
        for job in jobs:
            site.result(job)
    assert order == [0, 0, 1, 2, 3, 3, 4, 5, 6, 6]
    assert jobs[0].group == "user-7"


def test_a_rate_is_kept(site: Site) -> None:
    jp = site.jobpipe()
    starts: list[float] = []

    @jp.task(rate=Rate(10, per=1, burst=1))
    def call() -> None:
        starts.append(time.monotonic())

    with site.running(jp):
        for job in [site.enqueue(call) for _ in range(6)]:
            site.result(job)
    assert 0.45 <= starts[-1] - starts[0] < 5


def test_what_a_stopping_worker_gives_back_takes_a_new_token(site: Site) -> None:
    jp, started = site.jobpipe(), threading.Event()

    @jp.task(name="call", rate="1/h")
    async def call() -> None:
        started.set()
        await asyncio.sleep(60)

    with site.running(jp, shutdown_seconds=0):
        job = site.enqueue(call)
        assert started.wait(10)
    assert (site.seen(job).state, site.seen(job).attempt) == (State.BLOCKED, 0)
    started.clear()
    site.drain(jp)
    assert not started.is_set()
    assert site.seen(job).blocked_on == "rate:call"


def test_a_request_may_name_gates_of_its_own(site: Site) -> None:
    jp, meter = site.jobpipe(), Meter()

    @jp.task
    async def plain(number: int) -> None:
        await meter.run(number)

    limited = plain.using(concurrency=1, group="g")
    with site.running(jp, concurrency=8):
        jobs = [site.enqueue(limited, number) for number in range(4)]
        for job in jobs:
            site.result(job)
    assert meter.most == 1
    assert meter.order == [0, 1, 2, 3]
    assert site.seen(jobs[0]).group == "g"


def test_a_request_may_do_without_what_its_task_names(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task(concurrency=1, group="g", rate="1/h")
    def limited() -> None:
        """Nothing."""

    job = site.enqueue(limited.using(concurrency=False, group=False, rate=False))
    assert job.state is State.QUEUED


@pytest.mark.parametrize(
    "options, named",
    [
        ({"concurrency": 0}, "concurrency=0"),
        ({"concurrency": Concurrency(1, key="user-{nobody}")}, "user-{nobody}"),
        ({"rate": "100/y"}, "rate='100/y'"),
        ({"group": ""}, "group=''"),
    ],
)
def test_a_wrong_gate_is_refused_where_it_is_declared(
    options: dict[str, object], named: str
) -> None:
    jp = Jobpipe("sqlite:///:memory:")
    with pytest.raises(ConfigError, match="is refused; allowed") as caught:

        @jp.task(name="t", **options)  # type: ignore[call-overload,untyped-decorator]
        def t(user: int) -> None:
            """Nothing."""

    assert named in str(caught.value)
    jp.close()


def test_a_wrong_gate_of_a_request_is_refused_before_anything_is_stored(site: Site) -> None:
    jp = site.jobpipe()

    @jp.task
    def plain(user: int) -> None:
        """Nothing."""

    with pytest.raises(InvalidArguments, match="rate='often' is refused"):
        plain.using(rate="often")
    with pytest.raises(InvalidArguments, match=r"user-.nobody."):
        site.enqueue(plain.using(group=Group("user-{nobody}")), 1)
    assert site.do(jp, "jobs") == []


def test_a_slot_is_handed_from_one_application_to_another(site: Site) -> None:
    """Two workers: what one of them finishes lets in what the other one runs."""
    here, there = site.jobpipe(), site.jobpipe()
    lock = threading.Lock()
    running = [0, 0]

    def work() -> None:
        with lock:
            running[0] += 1
            running[1] = max(running)
        time.sleep(0.01)
        with lock:
            running[0] -= 1

    tasks = [jp.task(name="work", concurrency=1)(work) for jp in (here, there)]
    with site.running(here, concurrency=2), site.running(there, concurrency=2):
        jobs = [site.enqueue(tasks[number % 2]) for number in range(10)]
        for job in jobs:
            site.result(job)
    assert running[1] == 1


def test_a_retry_may_slow_down_all_jobs_of_its_key(site: Site) -> None:
    jp = site.jobpipe()
    starts: list[float] = []

    @jp.task(rate=Rate(5, burst=1))
    def call() -> None:
        starts.append(time.monotonic())
        if len(starts) == 1:
            raise Retry(after=0.5, slow_key=True)

    with site.running(jp):
        for job in [site.enqueue(call) for _ in range(3)]:
            site.result(job)
    assert len(starts) == 4
    assert starts[1] - starts[0] >= 0.45
