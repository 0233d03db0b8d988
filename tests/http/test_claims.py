"""Claims over HTTP: jobs handed out, kept, ended and fenced; and the duties of a service alone."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from starlette.testclient import TestClient

from jobpipe import Jobpipe, Reason, State
from jobpipe.app.claims import ClaimView, NewClaim
from jobpipe.http.asgi import asgi
from jobpipe.http.condition import Condition
from jobpipe.http.endpoint import Call, Principal
from jobpipe.http.routes.claims import Handing
from jobpipe.model.role import Role
from tests.http.conftest import LOOPBACK
from tests.waiting import until

CLAIMS = "/api/v1/claims"


@pytest.fixture
def app(store_url: str) -> Iterator[Jobpipe]:
    """An application with a task that programs elsewhere run, and quick retries."""
    settings = {"poll_seconds": 0.2, "lease_seconds": 2, "retry_delays": "0.3"}
    application = Jobpipe(store_url, max_payload=2048, **settings)
    application.remote_task("far", queue_name="far")
    application.remote_task("near", queue_name="near")
    yield application
    application.close()


def service_of(app: Jobpipe) -> TestClient:
    return TestClient(asgi(app), base_url=LOOPBACK, client=("127.0.0.1", 1))


def enqueue(app: Jobpipe, task: str = "far", args: Any = (), **options: Any) -> int:
    return app.enqueue_named(task, args, **options).id


def claim(client: TestClient, **wanted: Any) -> dict[str, Any]:
    answer = client.post(CLAIMS, json={"worker": "sh", "queues": "far", "slots": 10, **wanted})
    given: dict[str, Any] = answer.json()
    assert answer.status_code == (201 if given["jobs"] else 200), answer.text
    return given


def one(client: TestClient, **wanted: Any) -> tuple[int, dict[str, Any]]:
    """Claim one job; return the claim and what names the attempt."""
    given = claim(client, slots=1, **wanted)
    (job,) = given["jobs"]
    return given["claim"], {"job": job["id"], "token": job["token"]}


def say(client: TestClient, claim_id: int, what: str, *items: Any, status: int = 200) -> Any:
    field = "lines" if what == "log" else "jobs"
    answer = client.post(f"{CLAIMS}/{claim_id}/{what}", json={field: list(items)})
    assert answer.status_code == status, answer.text
    return answer.json()


def callers(app: Jobpipe) -> int:
    """Tell how many wait for jobs."""
    return 0 if app._handout is None else len(app._handout._wishes)


def statuses(answer: dict[str, Any]) -> list[str]:
    return [each["status"] for each in answer["jobs"]]


def state(app: Jobpipe, id: int) -> State:
    return app.job(id).refresh().state


def test_a_job_is_handed_out_whole_and_finished(app: Jobpipe, client: TestClient) -> None:
    id = enqueue(app, args={"src": "ü"}, meta={"for": 1}, timeout=9, priority=4)
    given = claim(client, lease_seconds=30)
    assert given["lease_seconds"] == 30
    assert given["jobs"] == [
        {
            "id": id,
            "token": 1,
            "task": "far",
            "args": {"src": "ü"},
            "version": 1,
            "attempt": 1,
            "max_attempts": 5,
            "queue": "far",
            "priority": 4,
            "timeout_seconds": 9.0,
            "meta": {"for": 1},
            "state": None,
        }
    ]
    seen = {worker.name: worker for worker in app.workers()}["sh"]
    assert (seen.id, seen.slots, seen.queues) == (given["claim"], 1, '["far"]')
    ended = say(client, given["claim"], "finish", {"job": id, "token": 1, "result": {"n": [1]}})
    assert ended == {"lease_until": None, "jobs": [{"job": id, "token": 1, "status": "ok"}]}
    view = app.job_view(id)
    assert (view.state, view.result, view.worker) == ("succeeded", {"n": [1]}, "sh")
    assert view.duration_seconds is not None
    assert "sh" not in [worker.name for worker in app.workers()]


def test_a_task_with_several_names_is_called_as_the_program_calls_it(
    app: Jobpipe, client: TestClient
) -> None:
    ids = [enqueue(app), enqueue(app, "near")]
    app.remote_task("new", aliases=["far.old", "older"], version=4)
    ids.append(enqueue(app, "older"))
    app.close()
    later = Jobpipe(app.settings.url)
    later.remote_task("far.new", queue_name="far", aliases=["far"])
    later.remote_task("near.new", aliases=["near"])
    with service_of(later) as new:
        given = claim(new, tasks=["far.new"])["jobs"]
        assert [(job["id"], job["task"], job["version"]) for job in given] == [
            (ids[0], "far.new", 1)
        ]
        enqueue(later, "far")
        assert [job["task"] for job in claim(new, tasks=["far"])["jobs"]] == ["far"]
        given = claim(new, queues="near,default")["jobs"]
        assert [(job["task"], job["version"]) for job in given] == [("near.new", 1), ("new", 4)]
    later.close()


def test_nothing_to_do_is_no_claim(client: TestClient) -> None:
    nothing = {"claim": None, "lease_seconds": None, "lease_until": None, "jobs": []}
    assert claim(client) == nothing


def test_lines_for_programs_that_read_no_json(app: Jobpipe, client: TestClient) -> None:
    ids = [enqueue(app, args={"tab": "\t", "n": 1}), enqueue(app, args=[1])]
    wanted = {"worker": "sh", "queues": ["far"], "slots": 5}
    answer = client.post(CLAIMS, json=wanted, headers={"Accept": "text/plain"})
    assert answer.status_code == 201
    lines = answer.text.splitlines()
    number = lines[0].partition("\t")[0]
    assert lines == [
        f'{number}\t{ids[0]}\t1\t1\tfar\t{{"tab":"\\t","n":1}}',
        f"{number}\t{ids[1]}\t1\t1\tfar\t[1]",
    ]
    empty = client.post(CLAIMS, json=wanted, headers={"Accept": "text/plain"})
    assert (empty.status_code, empty.text) == (200, "")


def test_queues_in_their_order_with_their_slots(app: Jobpipe, client: TestClient) -> None:
    far = [enqueue(app) for _ in range(3)]
    near = [enqueue(app, "near") for _ in range(2)]
    given = claim(client, queues="far:2,near", slots=3)
    assert [job["id"] for job in given["jobs"]] == [*far[:2], near[0]]
    rest = claim(client, queues="*")["jobs"]
    assert {job["id"] for job in rest} == {far[2], near[1]}


def test_a_paused_queue_is_not_asked(app: Jobpipe) -> None:
    app.pause_queue("far")
    id = enqueue(app)
    with service_of(app) as client, ThreadPoolExecutor() as threads:
        assert claim(client)["jobs"] == []
        waiting = threads.submit(claim, client, wait_seconds=20)
        app.resume_queue("far")
        assert [job["id"] for job in waiting.result()["jobs"]] == [id]


def test_who_waits_is_given_what_comes(app: Jobpipe, client: TestClient) -> None:
    with ThreadPoolExecutor() as threads:
        waiting = [threads.submit(claim, client, slots=1, wait_seconds=20) for _ in range(3)]
        until(lambda: callers(app) == 3)
        ids = app.enqueue_many([app.call_named("far", [n]) for n in range(3)])
        taken = [job["id"] for each in waiting for job in each.result()["jobs"]]
    assert sorted(taken) == ids


def test_who_waits_hears_of_other_processes(app: Jobpipe, client: TestClient) -> None:
    other = Jobpipe(app.settings.url)
    other.remote_task("far", queue_name="far")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(claim, client, wait_seconds=20)
        until(lambda: callers(app) == 1)
        id = enqueue(other)
        assert [job["id"] for job in waiting.result()["jobs"]] == [id]
    other.close()


def test_waiting_ends_after_its_time(client: TestClient) -> None:
    began = time.monotonic()
    assert claim(client, wait_seconds=0.3)["claim"] is None
    assert 0.3 <= time.monotonic() - began < 5


def test_a_stale_token_and_a_job_of_another_claim_are_refused(
    app: Jobpipe, client: TestClient
) -> None:
    enqueue(app)
    enqueue(app)
    mine, job = one(client)
    other, theirs = one(client)
    answer = say(client, mine, "finish", theirs, {**job, "token": 2})
    assert statuses(answer) == ["lease_lost", "lease_lost"]
    for what in ("log", "progress"):
        item = {**theirs, "message": "x"} if what == "log" else {**theirs, "done": 1}
        assert statuses(say(client, mine, what, item)) == ["lease_lost"]
    assert state(app, theirs["job"]) is State.RUNNING
    assert statuses(say(client, other, "finish", theirs)) == ["ok"]


CALLERS = {name: f"a-secret-of-{name}" for name in ("ann", "bob")}


@pytest.fixture
def shared(store_url: str) -> Iterator[tuple[Jobpipe, TestClient, TestClient]]:
    """An application and two callers with a token each; the second is an admin."""
    roles = {"ann": "worker", "bob": "admin"}
    entries = [
        f"{name}:{roles[name]}:sha256:{hashlib.sha256(token.encode()).hexdigest()}"
        for name, token in CALLERS.items()
    ]
    application = Jobpipe(store_url, tokens=",".join(entries))
    application.remote_task("far", queue_name="far")
    service = asgi(application)
    headers = [{"Authorization": f"Bearer {token}"} for token in CALLERS.values()]
    with TestClient(service, base_url=LOOPBACK, headers=headers[0]) as ann:
        yield application, ann, TestClient(service, base_url=LOOPBACK, headers=headers[1])
    application.close()


@pytest.mark.parametrize("what", ["heartbeat", "finish", "fail", "snooze", "log", "progress"])
def test_a_claim_of_somebody_else_is_as_if_it_had_ended(
    shared: tuple[Jobpipe, TestClient, TestClient], what: str
) -> None:
    app, ann, bob = shared
    enqueue(app)
    mine, job = one(ann)
    more = {"log": {"message": "x"}, "progress": {"done": 1}, "snooze": {"seconds": 9}}
    items = [{**job, **more.get(what, {})}]
    body = {} if what == "heartbeat" else {"lines" if what == "log" else "jobs": items}

    def refused(client: TestClient, claim_id: int) -> dict[str, Any]:
        answer = client.post(f"{CLAIMS}/{claim_id}/{what}", json=body)
        assert answer.status_code == 409, answer.text
        told: dict[str, Any] = answer.json()
        return {key: told[key] for key in ("code", "detail")}

    ended = {"code": "lease_lost", "detail": f"claim {mine} has ended; nothing was written"}
    lease = {worker.name: worker for worker in app.workers()}["sh"].lease_until
    assert refused(bob, mine) == ended
    assert refused(bob, mine + 1)["code"] == "lease_lost"  # which there is not
    assert {worker.name: worker for worker in app.workers()}["sh"].lease_until == lease
    assert (state(app, job["job"]), app.logs(job["job"])) == (State.RUNNING, [])
    assert statuses(say(ann, mine, "finish", job)) == ["ok"]
    assert refused(bob, mine) == ended  # also what would be a repetition


def test_a_repeated_finish_is_told_ok_and_another_is_not(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    mine, job = one(client)
    for _ in range(2):
        assert statuses(say(client, mine, "finish", {**job, "result": 1})) == ["ok"]
    assert say(client, mine, "fail", job, status=409)["code"] == "lease_lost"
    assert app.job_view(job["job"]).result == 1


def test_a_silent_claim_loses_its_job_to_the_next(app: Jobpipe, client: TestClient) -> None:
    """The service alone takes it back: there is no worker."""
    enqueue(app)
    mine, job = one(client, lease_seconds=1)
    again = claim(client, wait_seconds=30)
    assert [(each["id"], each["token"]) for each in again["jobs"]] == [(job["job"], 2)]
    for what in ("heartbeat", "finish", "fail"):
        body = {} if what == "heartbeat" else {"jobs": [job]}
        answer = client.post(f"{CLAIMS}/{mine}/{what}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "lease_lost")
    assert state(app, job["job"]) is State.RUNNING
    assert app.job(job["job"]).refresh().record.losses == 1  # type: ignore[union-attr]


def test_heartbeats_keep_a_short_lease(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    mine, job = one(client, lease_seconds=1)
    ends = time.monotonic() + 3
    while time.monotonic() < ends:
        beat = client.post(f"{CLAIMS}/{mine}/heartbeat", json={})
        assert beat.status_code == 200
        assert beat.json()["cancels"] == []
        time.sleep(0.25)
    assert statuses(say(client, mine, "finish", job)) == ["ok"]


def test_a_cancel_reaches_the_program(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    enqueue(app)
    mine, job = one(client)
    app.cancel(job["job"])
    beat = client.post(f"{CLAIMS}/{mine}/heartbeat", json={}).json()
    assert beat["cancels"] == [job]
    assert statuses(say(client, mine, "finish", {**job, "cancelled": True})) == ["ok"]
    assert (state(app, job["job"]), app.job_view(job["job"]).reason) == ("cancelled", "by_user")
    mine, job = one(client)
    app.cancel(job["job"])
    say(client, mine, "fail", job)
    assert state(app, job["job"]) is State.CANCELLED


def test_failures_are_tried_again_by_the_same_rules(app: Jobpipe, client: TestClient) -> None:
    enqueue(app, max_attempts=2)
    error = {"type": "IOError", "message": "no disk", "traceback": "line 1"}
    mine, job = one(client)
    say(client, mine, "fail", {**job, "error": error})
    assert state(app, job["job"]) is State.RETRYING
    mine, job = one(client, wait_seconds=20)  # promoted by the service
    assert job["token"] == 2
    say(client, mine, "fail", {**job, "error": error})
    view = app.job_view(job["job"])
    assert (view.state, view.reason, view.error) == ("failed", "attempts_exhausted", error)
    assert [each.outcome for each in app.attempts(job["job"])] == ["failed", "failed"]


def test_a_failure_may_be_for_good_or_for_later(app: Jobpipe, client: TestClient) -> None:
    ids = [enqueue(app), enqueue(app)]
    given = claim(client)
    items = [{"job": id, "token": 1} for id in ids]
    items[0] |= {"retry": False}
    items[1] |= {"retry_after_seconds": 3600}  # type: ignore[dict-item]
    say(client, given["claim"], "fail", *items)
    assert app.job_view(ids[0]).reason == "fatal"
    late = app.job(ids[1]).refresh().record
    assert late is not None
    assert late.state is State.RETRYING
    assert late.due_at is not None
    assert 3590e6 < late.due_at - app.health() <= 3600e6


def test_a_failure_may_slow_down_all_jobs_of_its_key(app: Jobpipe, client: TestClient) -> None:
    enqueue(app, rate="100/s")
    mine, job = one(client, wait_seconds=20)  # let in by the service
    say(client, mine, "fail", {**job, "retry_after_seconds": 3600, "slow_key": True})
    (gate,) = client.get("/api/v1/gates?kind=rate").json()["items"]
    rest = datetime.fromisoformat(gate["shut_until"]) - datetime.now(UTC)
    assert timedelta(minutes=59) < rest <= timedelta(hours=1)


def test_a_snooze_charges_nothing(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    mine, job = one(client)
    say(client, mine, "snooze", {**job, "seconds": 0.2})
    given = claim(client, wait_seconds=20)
    assert [(each["attempt"], each["token"]) for each in given["jobs"]] == [(1, 2)]


def test_what_cannot_be_kept_fails_the_job(app: Jobpipe, client: TestClient) -> None:
    ids = [enqueue(app), enqueue(app)]
    given = claim(client)
    large = {"job": ids[0], "token": 1, "result": "x" * 3000}
    say(client, given["claim"], "finish", large)
    assert app.job_view(ids[0]).reason == "unstorable"
    long = {"type": "E", "message": "m", "traceback": "t" * 9000}
    say(client, given["claim"], "fail", {"job": ids[1], "token": 1, "error": long, "retry": False})
    kept = app.job_view(ids[1]).error
    assert kept is not None
    assert len(str(kept)) <= 2048


def test_logs_and_progress_are_heard(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    mine, job = one(client)
    lines = [
        {**job, "message": "password=hush", "level": "warning", "fields": {"n": 1}},
        {**job, "message": "too fine", "level": "debug"},
        {**job, "message": "then", "at": "2001-01-01T00:00:00Z", "logger": "me"},
    ]
    assert statuses(say(client, mine, "log", *lines)) == ["ok"] * 3
    kept = app.logs(job["job"])
    assert [(line.number, line.level, line.logger) for line in kept] == [(1, 30, ""), (2, 20, "me")]
    assert "hush" not in kept[0].message
    assert kept[0].fields == '{"n":1}'
    assert abs(kept[1].at - 978_307_200_000_000) < 1_000_000  # counted back from now
    say(client, mine, "progress", {**job, "done": 3, "total": 4, "note": "soon"})
    progress = client.get(f"/api/v1/jobs/{job['job']}").json()["progress"]
    assert (progress["done"], progress["total"], progress["note"]) == (3, 4, "soon")


def test_jobs_of_unknown_tasks_are_parked_and_brought_back(
    app: Jobpipe, client: TestClient
) -> None:
    id = enqueue(app)
    assert claim(client, tasks=["other"])["jobs"] == []
    parked = app.job(id).refresh().record
    assert parked is not None
    assert (parked.state, parked.reason, parked.attempt) == (State.PARKED, Reason.UNKNOWN_TASK, 0)
    given = claim(client, tasks=["far"], wait_seconds=20)
    assert [job["id"] for job in given["jobs"]] == [id]


def test_expired_jobs_are_not_handed_out(app: Jobpipe, client: TestClient) -> None:
    id = enqueue(app, expires_in=0.001)
    kept = enqueue(app)
    time.sleep(0.01)
    assert [job["id"] for job in claim(client)["jobs"]] == [kept]
    until(lambda: app.job_view(id).reason == "expired")


@pytest.mark.parametrize(
    "wrong",
    [
        {"slots": 0},
        {"slots": 1001},
        {"wait_seconds": 61},
        {"lease_seconds": 0.1},
        {"queues": "no queue"},
        {"queues": []},
        {"worker": ""},
        {"tasks": [""]},
        {"unknown": 1},
    ],
)
def test_wrong_wishes_are_refused(client: TestClient, wrong: dict[str, Any]) -> None:
    body = {"worker": "sh", "queues": "far", **wrong}
    assert client.post(CLAIMS, json=body).status_code == 422


def test_a_job_ends_once_in_a_call(app: Jobpipe, client: TestClient) -> None:
    enqueue(app)
    mine, job = one(client)
    assert say(client, mine, "finish", job, job, status=422)["code"] == "invalid_arguments"


def test_a_service_that_stops_lets_nobody_wait(app: Jobpipe) -> None:
    with service_of(app) as client:
        service = client.app
        with ThreadPoolExecutor() as threads:
            waiting = threads.submit(claim, client, wait_seconds=60)
            until(lambda: callers(app) == 1)
            assert client.portal is not None
            client.portal.call(service.condition.stop)  # type: ignore[attr-defined]
            assert waiting.result(timeout=10)["claim"] is None


def test_who_leaves_as_the_claim_is_made_is_given_nothing(
    app: Jobpipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    async def main() -> None:
        made, hand_out = asyncio.Event(), app.aclaim

        async def aclaim(*wanted: Any) -> ClaimView:
            given = await hand_out(*wanted)
            made.set()
            return given

        async def receive() -> dict[str, str]:
            await made.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        monkeypatch.setattr(app, "aclaim", aclaim)
        call = Call(
            app=app,
            condition=Condition(),
            principal=Principal(name="ann", role=Role.WORKER),
            path={},
            query=None,
            body=NewClaim(worker="sh", queues="far"),
            headers={},
            root="",
            request_id="r",
        )
        async with app.tending():
            await Handing(call)({"type": "http"}, receive, send)

    id = enqueue(app)
    asyncio.run(main())
    job = app.job(id).refresh().record
    assert job is not None
    assert (job.state, job.token, job.losses) == (State.QUEUED, 1, 0)
    assert (sent, app.workers()) == ([], [])


def test_who_hangs_up_is_given_nothing(app: Jobpipe, served: str) -> None:
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.post(
            f"{served}{CLAIMS}",
            json={"worker": "gone", "queues": "far", "wait_seconds": 60},
            timeout=0.5,
        )
    id = enqueue(app)
    wanted = {"worker": "here", "queues": "far", "wait_seconds": 20}
    given = httpx2.post(f"{served}{CLAIMS}", json=wanted, timeout=30).json()
    assert [(job["id"], job["token"]) for job in given["jobs"]] == [(id, 1)]
