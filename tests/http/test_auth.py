"""Who is let in: hosts, pages, tokens, the brake. No server, no clock but a list."""

from __future__ import annotations

import ast
import hmac
from pathlib import Path
from typing import Any

import pytest

from jobpipe.config.load import load_settings
from jobpipe.config.tokens import read_tokens
from jobpipe.errors import ConfigError
from jobpipe.http import auth, brake, tokens
from jobpipe.http.auth import (
    ANONYMOUS,
    Auth,
    auth_of,
    check_bind,
    check_page,
    check_tokens,
    name_of,
)
from jobpipe.http.brake import Brake
from jobpipe.http.endpoint import Principal
from jobpipe.http.problems import Problem
from jobpipe.http.tokens import TokenBook
from jobpipe.model.role import Role

ENTRIES = read_tokens("ann:admin:right, bob:viewer:other")


def scope(method: str = "GET", client: str | None = "127.0.0.1") -> dict[str, Any]:
    return {"method": method, "client": None if client is None else (client, 1)}


def judged(judge: Auth, *, client: str = "10.0.0.9", **headers: str) -> Principal | Problem:
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        return judge(scope(client=client), given)
    except Problem as problem:
        return problem


def guarded(**more: Any) -> Auth:
    return Auth(TokenBook(ENTRIES, None), **more)


def bearer(token: str) -> str:
    return f"Bearer {token}"


def test_a_token_says_who_calls() -> None:
    assert judged(guarded(), authorization=bearer("right")) == Principal(
        name="ann", role=Role.ADMIN
    )
    assert judged(guarded(), authorization="bEARER   other ") == Principal(
        name="bob", role=Role.VIEWER
    )


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer right right"},
        {"authorization": "Basic right"},
        {"authorization": "right"},
        {"authorization": "Bearer righ\xe9"},
    ],
)
def test_no_token_and_any_wrong_one_are_answered_alike(headers: dict[str, str]) -> None:
    refused = judged(guarded(), **headers)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (401, "unauthorized")
    assert refused.headers == {"WWW-Authenticate": "Bearer"}
    assert str(refused) == str(auth.unauthorized())


def test_every_entry_is_compared_whatever_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    class Hmac:
        @staticmethod
        def compare_digest(one: bytes, other: bytes) -> bool:
            compared.append(one)
            return hmac.compare_digest(one, other)

    monkeypatch.setattr(tokens, "hmac", Hmac)
    for token, name in (("right", "ann"), ("other", "bob"), ("none", None)):
        compared.clear()
        found = tokens.find(ENTRIES, token.encode())
        assert (found.name if found else None) == name
        assert compared == [entry.digest for entry in ENTRIES]


def test_secrets_are_compared_in_constant_time_alone() -> None:
    """No ``==`` touches a token or a digest: the only comparison of ``find`` is hmac's."""
    tree = ast.parse(Path(tokens.__file__).read_text(encoding="utf-8"))
    (find,) = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "find"]
    assert not [node for node in ast.walk(find) if isinstance(node, ast.Compare)]
    assert not [node for node in ast.walk(find) if isinstance(node, ast.Break | ast.Return)][1:]
    assert "hmac.compare_digest(entry.digest, digest)" in ast.unparse(find)


def test_without_tokens_this_machine_alone_is_served_under_its_own_names() -> None:
    judge = Auth(None)
    for host in ("localhost", "LocalHost:8000", "127.0.0.1:1", "[::1]:8000", "[::1]", "localhost."):
        assert judged(judge, client="127.0.0.1", host=host) == ANONYMOUS, host
    for host in ("", "evil.example", "evil.example:8000", "127.0.0.1.evil.example", "a@localhost"):
        refused = judged(judge, client="127.0.0.1", host=host)
        assert isinstance(refused, Problem), host
        assert (refused.status, refused.code) == (421, "wrong_host")
    refused = judged(judge, client="10.0.0.9", host="localhost")
    assert isinstance(refused, Problem)
    assert refused.status == 401


def test_a_client_without_an_address_is_of_no_machine() -> None:
    with pytest.raises(Problem) as refused:
        Auth(None)(scope(client=None), {"host": "localhost"})
    assert (refused.value.status, refused.value.code) == (401, "unauthorized")
    known = guarded()(scope(client=None), {"authorization": bearer("right")})
    assert known == Principal(name="ann", role=Role.ADMIN)


@pytest.mark.parametrize("header", ["forwarded", "via", "x_forwarded_for"])
def test_without_tokens_nothing_is_served_that_a_proxy_passed_on(header: str) -> None:
    """A proxy on this machine calls from a loopback address, and may send a loopback Host."""
    passed_on = {"host": "localhost", header: "for=192.0.2.7"}
    refused = judged(Auth(None), client="127.0.0.1", **passed_on)
    assert isinstance(refused, Problem)
    assert (refused.status, refused.code) == (403, "proxied")
    assert "Set tokens" in refused.help
    known = judged(guarded(), authorization=bearer("right"), **passed_on)
    assert isinstance(known, Principal)


def test_public_pages_are_shown_under_own_names_unless_tokens_are_set() -> None:
    for host in ("localhost:8000", "127.0.0.1", "[::1]"):
        Auth(None).check_public({"host": host})
    with pytest.raises(Problem) as refused:
        Auth(None).check_public({"host": "evil.example"})
    assert (refused.value.status, refused.value.code) == (421, "wrong_host")
    Auth(None, hosts=("jobs.example",)).check_public({"host": "jobs.example"})
    for judge in (guarded(), guarded(hosts=("jobs.example",))):
        judge.check_public({"host": "10.1.2.3:8000"})  # a probe asks by address


def test_hosts_count_with_tokens_when_they_are_named() -> None:
    assert isinstance(judged(guarded(), host="any", authorization=bearer("right")), Principal)
    judge = guarded(hosts=("jobs.example",))
    for host in ("jobs.example:443", "127.0.0.1"):
        assert isinstance(judged(judge, host=host, authorization=bearer("right")), Principal)
    refused = judged(judge, host="other.example", authorization=bearer("right"))
    assert isinstance(refused, Problem)
    assert refused.status == 421


@pytest.mark.parametrize(
    "host,name",
    [
        ("a.example", "a.example"),
        ("A.Example.:80", "a.example"),
        ("[::1]:80", "::1"),
        ("a b", ""),
        ("a:80:80", ""),
        ("a\n", ""),
        ("[::1", ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert name_of(host) == name


@pytest.mark.parametrize(
    "method,headers,is_refused",
    [
        ("POST", {}, False),
        ("POST", {"sec-fetch-site": "same-origin"}, False),
        ("POST", {"sec-fetch-site": "none"}, False),
        ("POST", {"sec-fetch-site": "same-site"}, True),
        ("DELETE", {"sec-fetch-site": "cross-site"}, True),
        ("GET", {"sec-fetch-site": "cross-site"}, False),
        ("POST", {"origin": "http://me:8000"}, False),
        ("POST", {"origin": "http://me:9000"}, True),
        ("PATCH", {"origin": "null"}, True),
        ("POST", {"origin": "http://["}, True),
        ("POST", {"origin": "https://app.example", "sec-fetch-site": "cross-site"}, False),
        ("POST", {"origin": "https://app.example.evil"}, True),
    ],
)
def test_pages_of_other_sites_change_nothing(
    method: str, headers: dict[str, str], is_refused: bool
) -> None:
    given = {"host": "me:8000", **headers}
    if is_refused:
        with pytest.raises(Problem) as refused:
            check_page(method, given, {"https://app.example"})
        assert (refused.value.status, refused.value.code) == (403, "foreign_page")
    else:
        check_page(method, given, {"https://app.example"})


def test_wrong_tokens_of_an_address_are_looked_at_a_hundred_times_a_minute() -> None:
    now = [1000.0]
    judge = guarded(brake=Brake(lambda: now[0]))
    for _ in range(100):
        refused = judged(judge, authorization=bearer("guess"))
        assert isinstance(refused, Problem)
        assert refused.status == 401
    now[0] += 20
    for token in ("guess", "right"):
        refused = judged(judge, authorization=bearer(token))
        assert isinstance(refused, Problem)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "40")
    elsewhere = judged(judge, client="10.0.0.10", authorization=bearer("right"))
    assert isinstance(elsewhere, Principal)
    now[0] += 40
    assert isinstance(judged(judge, authorization=bearer("right")), Principal)


def test_who_sends_no_token_does_not_guess() -> None:
    judge = guarded()
    for _ in range(200):
        judged(judge)
    assert isinstance(judged(judge, authorization=bearer("right")), Principal)


def test_the_brake_counts_networks_of_ipv6_and_forgets_the_oldest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(brake, "TRIES", 2)
    monkeypatch.setattr(brake, "ADDRESSES_MAX", 2)
    counter = Brake(lambda: 5.0)
    counter.wrong("2001:db8::1")
    counter.wrong("2001:db8::2")
    assert counter.wait_seconds("2001:db8::ffff") == 60
    assert counter.wait_seconds("2001:db8:0:1::1") == 0
    counter.wrong("a")
    counter.wrong("b")
    assert counter.wait_seconds("2001:db8::1") == 0


def test_what_is_current_ends_with_the_token() -> None:
    judge = guarded()
    assert judge.is_current(Principal(name="ann", role=Role.ADMIN))
    assert not judge.is_current(Principal(name="ann", role=Role.VIEWER))
    assert not judge.is_current(ANONYMOUS)
    assert Auth(None).is_current(ANONYMOUS)


def test_without_tokens_only_a_loopback_address_is_listened_at(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "::1", "127.8.9.10"):
        check_bind(load_settings({"host": host}, environ={}, directory=tmp_path))
    for host in ("0.0.0.0", "::", "10.0.0.1", "jobs.example"):
        settings = load_settings({"host": host}, environ={}, directory=tmp_path)
        with pytest.raises(ConfigError, match="no token is set") as refused:
            check_bind(settings)
        assert "jobpipe token create" in refused.value.help
        given = {"host": host, "tokens": "a:viewer:x"}
        check_bind(load_settings(given, environ={}, directory=tmp_path))


def test_a_file_of_tokens_that_cannot_be_used_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    settings = load_settings({"tokens_file": str(path)}, environ={}, directory=tmp_path)
    with pytest.raises(ConfigError, match="No such file"):
        check_tokens(settings)
    path.write_text("a:boss:s3cret\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the role of 'a' is none of") as refused:
        check_tokens(settings)
    assert "s3cret" not in str(refused.value)
    path.write_text("", encoding="utf-8")
    check_tokens(settings)
    with pytest.raises(Problem):  # an empty file lets nobody in
        auth_of(settings)(scope(), {"host": "localhost"})
