"""Versions of arguments: how a stored text tells its own; upgrades and aliases that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobpipe import Jobpipe, Tasks
from jobpipe.errors import ConfigError, UnknownTask
from jobpipe.model.takes import LATEST, Takes
from jobpipe.tasks import wire
from jobpipe.tasks.task import Defaults
from jobpipe.tasks.versions import (
    NewerVersion,
    NoUpgrade,
    UpgradeFailed,
    Versions,
    stamp,
    version_of,
)


@pytest.fixture
def tasks() -> Tasks:
    return Tasks()


@pytest.mark.parametrize(
    "version, text",
    [(1, '{"a":1}'), (2, '\t {"a":1}'), (5, '\t \t{"a":1}'), (8, '\t   {"a":1}')],
)
def test_the_version_stands_in_blanks_before_the_arguments(version: int, text: str) -> None:
    assert stamp(version, '{"a":1}') == text
    assert version_of(text) == version


@given(st.integers(1, LATEST))
def test_every_version_can_be_read_again_and_json_does_not_see_it(version: int) -> None:
    text = stamp(version, '{"a":1}')
    assert version_of(text) == version
    assert wire.read(text) == {"a": 1}
    assert len(text) <= len('{"a":1}') + 31


def test_a_job_carries_the_version_of_its_task(tasks: Tasks) -> None:
    @tasks.task(name="plain")
    def plain(a: int) -> None: ...

    @tasks.task(name="later", version=3)
    def later(a: int) -> None: ...

    job = plain.call(1).new_job(Defaults())
    assert (job.args, job.version) == ('{"a":1}', None)
    job = later.using(priority=1).call(1).new_job(Defaults())
    assert (job.args, job.version) == ('\t\t{"a":1}', 3)


def chained() -> Versions:
    versions = Versions("mail", 3)
    versions.add(1, lambda args: {"id": args["user"]})
    versions.add(2, lambda args: {**args, "name": "?"})
    return versions


def test_upgrades_lead_from_each_old_version_to_this_one() -> None:
    versions = chained()
    versions.check()
    assert (versions.oldest, versions.upgrades) == (1, (1, 2))
    assert versions.upgraded('{"user":7}') == '{"id":7,"name":"?"}'
    assert versions.upgraded(stamp(2, '{"id":7}')) == '{"id":7,"name":"?"}'
    current = stamp(3, '{"id":7,"name":"x"}')
    assert versions.upgraded(current) == current


def test_what_cannot_be_upgraded_says_why() -> None:
    with pytest.raises(NewerVersion, match="are of version 4, this code knows version 3"):
        chained().upgraded(stamp(4, "{}"))
    with pytest.raises(NoUpgrade, match=r"of version 1, .* no upgrade from version 1"):
        Versions("mail", 2).upgraded("{}")
    with pytest.raises(UpgradeFailed, match="the upgrade from version 1 failed: KeyError: 'user'"):
        chained().upgraded("{}")
    with pytest.raises(UpgradeFailed, match="a mapping by name"):
        chained().upgraded("[]")


@pytest.mark.parametrize("result", [None, [1], {1: 2}, {"a": object()}])
def test_what_an_upgrade_returns_must_be_arguments(result: Any) -> None:
    versions = Versions("mail", 2)
    versions.add(1, lambda _args: result)
    with pytest.raises(UpgradeFailed, match="the upgrade from version 1 failed"):
        versions.upgraded("{}")


def test_upgrades_are_declared_on_the_task(tasks: Tasks) -> None:
    @tasks.task(name="mail", version=2)
    def mail(id: int) -> None: ...

    @mail.upgrade(from_version=1)
    def renamed(args: dict[str, Any]) -> dict[str, Any]:
        return {"id": args["user"]}

    assert renamed({"user": 1}) == {"id": 1}
    assert mail.using(priority=1).versions.upgrades == (1,)


@pytest.mark.parametrize("version", [0, 2, 3, True, "1", None])
def test_an_upgrade_from_no_older_version_is_refused(tasks: Tasks, version: Any) -> None:
    @tasks.task(name="mail", version=2)
    def mail() -> None: ...

    with pytest.raises(ConfigError, match=r"task mail: upgrade\(from_version=.*allowed: 1 to 1"):
        mail.upgrade(from_version=version)(dict)


def test_a_task_of_the_first_version_has_no_upgrades(tasks: Tasks) -> None:
    @tasks.task(name="mail")
    async def mail() -> None: ...

    with pytest.raises(ConfigError, match="declares version=1, so allowed: none"):
        mail.upgrade(from_version=1)(lambda args: args)


def test_an_upgrade_is_declared_once_and_is_a_plain_function(tasks: Tasks) -> None:
    @tasks.task(name="mail", version=2)
    def mail() -> None: ...

    async def awaited(args: dict[str, Any]) -> dict[str, Any]:
        return args

    for wrong in (dict, awaited):
        with pytest.raises(ConfigError, match="an upgrade is a plain function"):
            mail.upgrade(from_version=1)(wrong)  # type: ignore[type-var]

    @mail.upgrade(from_version=1)
    def first(args: dict[str, Any]) -> dict[str, Any]:
        return args

    with pytest.raises(
        ConfigError, match=r"two upgrades lead from version 1: .*first and .*second"
    ):

        @mail.upgrade(from_version=1)
        def second(args: dict[str, Any]) -> dict[str, Any]:
            return args


def test_a_gap_between_upgrades_is_found_before_anything_runs() -> None:
    jp = Jobpipe("sqlite:///:memory:")

    @jp.task(name="mail", version=4)
    def mail() -> None: ...

    mail.upgrade(from_version=1)(lambda args: args)
    mail.upgrade(from_version=3)(lambda args: args)
    with pytest.raises(ConfigError, match="the upgrade from version 1 leads nowhere") as caught:
        jp.drain()
    assert caught.value.help == "Declare it: @mail.upgrade(from_version=2)."
    mail.upgrade(from_version=2)(lambda args: args)
    jp.drain()
    jp.close()


def test_old_versions_need_not_be_supported_for_ever() -> None:
    versions = Versions("mail", 4)
    versions.add(3, lambda args: args)
    versions.check()
    assert versions.oldest == 3


def test_a_task_is_found_by_its_old_names(tasks: Tasks) -> None:
    @tasks.task(name="new", aliases=["old", "older"], version=2)
    def new() -> None: ...

    registry = tasks.registry
    assert registry.get("old") is registry.get("older") is registry.get("new") is new
    assert "old" in registry
    assert [task.name for task in registry] == ["new"]
    assert registry.run_here() == [Takes("new", 2, 2), Takes("old", 2, 2), Takes("older", 2, 2)]
    with pytest.raises(UnknownTask, match="did you mean older"):
        registry.get("oldest")


@pytest.mark.parametrize("aliases", ["old", ["new"], ["a", "a"], [""], [7], {"a"}, None])
def test_wrong_aliases_are_refused(tasks: Tasks, aliases: Any) -> None:
    with pytest.raises(ConfigError, match=r"task new: aliases=.* is refused"):
        tasks.task(name="new", aliases=aliases)(lambda: None)


def test_a_name_belongs_to_one_task_whether_it_is_old_or_new(tasks: Tasks) -> None:
    @tasks.task(name="new", aliases=["old"])
    def new() -> None: ...

    for name, aliases in [("old", []), ("other", ["new"])]:
        with pytest.raises(ConfigError, match=r"the alias \w+ of a task is the name of another"):
            tasks.remote_task(name, aliases=aliases)
    with pytest.raises(ConfigError, match="two tasks have the alias old: new and other"):
        tasks.command("other", ["true"], aliases=["old"])
    assert [task.name for task in tasks.registry] == ["new"]


def test_commands_and_remote_tasks_have_old_names_and_no_upgrades(tasks: Tasks) -> None:
    command = tasks.command("now", ["true"], aliases=["before"])
    remote = tasks.remote_task("there", aliases=["elsewhere"])
    assert tasks.registry.get("before") is command
    assert tasks.registry.get("elsewhere") is remote
    assert not hasattr(command, "upgrade")
    assert not hasattr(remote, "upgrade")
