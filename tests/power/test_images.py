"""What may be on a disk after a power cut, worked out by hand."""

from __future__ import annotations

import random
from collections.abc import Iterator

from tests.power.images import Disk, after, torn
from tests.power.recording import Create, Delete, Sync, Truncate, Write

SECTOR = 512


def outcomes(disk: Disk) -> set[tuple[tuple[str, bytes], ...]]:
    return {tuple(sorted(image.items())) for image in disk.images(random.Random(1), 300)}


def played(*events: Create | Delete | Write | Truncate | Sync) -> Disk:
    disk = Disk()
    for event in events:
        disk.play(event)
    return disk


def test_what_was_synced_is_there() -> None:
    disk = played(Create(1, "a-wal"), Write(1, 0, b"one"), Sync(1, sync_folder=True))
    assert outcomes(disk) == {(("a-wal", b"one"),)}


def test_of_unsynced_writes_any_may_be_missing() -> None:
    disk = played(
        Create(1, "a-wal"), Sync(1, sync_folder=True), Write(1, 0, b"a"), Write(1, 1, b"b")
    )
    contents = {dict(image)["a-wal"] for image in outcomes(disk)}
    assert contents == {b"", b"a", b"\0b", b"ab"}


def test_a_new_file_may_be_missing_until_its_folder_is_synced() -> None:
    disk = played(Create(1, "a"), Write(1, 0, b"x"), Sync(1, sync_folder=False))
    assert outcomes(disk) == {(), (("a", b"x"),)}


def test_a_deleted_file_may_come_back_until_the_folder_is_synced() -> None:
    made = (Create(1, "a-wal"), Write(1, 0, b"x"), Sync(1, sync_folder=True))
    assert outcomes(played(*made, Delete("a-wal", sync_folder=False))) == {
        (),
        (("a-wal", b"x"),),
    }
    assert outcomes(played(*made, Delete("a-wal", sync_folder=True))) == {()}


def test_a_disk_that_does_not_obey_keeps_nothing_for_sure() -> None:
    disk = Disk(obeys=False)
    for event in (Create(1, "a-wal"), Write(1, 0, b"x"), Sync(1, sync_folder=True)):
        disk.play(event)
    assert () in outcomes(disk)


def test_changes_are_made_in_order() -> None:
    assert after(b"abcdef", [Truncate(1, 2), Write(1, 4, b"x"), Write(1, 0, b"z")]) == b"zb\0\0x"
    assert after(b"ab", [Truncate(1, 4)]) == b"ab\0\0"


def test_a_write_is_torn_at_sectors() -> None:
    change = Write(1, SECTOR - 1, b"a" + b"b" * SECTOR + b"c")
    whole = [Write(1, 511, b"a"), Write(1, 512, b"b" * 512), Write(1, 1024, b"c")]
    found = list(parts_of(change))
    assert all(part in whole for parts in found for part in parts)
    assert {len(parts) for parts in found} == {0, 1, 2, 3}
    assert torn(Truncate(1, 5), random.Random(1)) == []


def parts_of(change: Write) -> Iterator[list[Write | Truncate]]:
    chance = random.Random(1)
    for _ in range(200):
        yield torn(change, chance)
