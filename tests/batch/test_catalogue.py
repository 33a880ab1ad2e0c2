"""What a source holds and what is done stand on the disk: the same order and the same skipping as plain lists."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from attnviz.batch import run
from attnviz.batch.ledger import Ledger
from attnviz.batch.listed import Listed, Stamp
from attnviz.batch.listing import chosen, is_image, part
from attnviz.batch.names import result_folder
from attnviz.batch.record import DONE, FAILED, Record
from attnviz.batch.tables import PAGE, Tables, key, text
from attnviz.captioner import Captioner
from attnviz.errors import AttnvizError, DataError

if TYPE_CHECKING:
    from attnviz.batch.catalogue import Photos

names = st.text(st.sampled_from("aAbé\u0301z0.\udc80\U0001f415\uffff "), min_size=1, max_size=4)
paths = st.builds(lambda folders, name, end: "/".join([*folders, name + end]), st.lists(names, max_size=2), names,
                  st.sampled_from([".jpg", ".JPG", ".nef", ".txt"]))  # fmt: skip
listed = st.builds(
    Listed,
    paths,
    error=st.sampled_from([None, None, None, "cannot be read"]),
    origin=st.sampled_from([None, "s3://bucket/\udc80.jpg"]),
    span=st.sampled_from([None, (2**40, 3)]),
    stamp=st.sampled_from([None, Stamp(1, 2, "e"), Stamp(mtime_ns=2**70), Stamp()]),
)


def plain(files: list[Listed], shard: tuple[int, int]) -> tuple[list[Listed], set[str], list[str]]:
    """`chosen` with dictionaries and lists: the photos, those that keep the folder of their name, what is left out."""
    first: dict[str, Listed] = {}
    for one in files:
        first.setdefault(one.path, one)
    every = sorted(first.values(), key=lambda one: (one.error is not None, one.path))
    shared = Counter(alike(one.path) for one in every if one.error is None)
    mine = [one for one in every if part(one.path, shard[1]) == shard[0]]
    photos = [one for one in mine if one.error is not None or is_image(one.path)]
    keep = {path for path in first if shared[alike(path)] == 1 or result_folder(path) == alike(path)}
    return photos, keep, [one.path for one in mine if one.error is None and one.path.lower().endswith(".nef")]


def alike(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", result_folder(path)).casefold())


@given(st.lists(listed, min_size=1, max_size=20), st.sampled_from([(1, 1), (1, 2), (2, 2)]))
def test_a_catalogue_holds_what_plain_lists_would(files: list[Listed], shard: tuple[int, int]) -> None:
    photos, keep, left_out = plain(files, shard)
    if not any(one.error is not None or is_image(one.path) for one in files):
        with pytest.raises(DataError):
            chosen("photos", files, None, shard)
        return
    try:
        found = chosen("photos", iter(files), None, shard)
    except DataError:  # the first of two with one path is none
        assert not photos
        return
    bare = [Listed(one.path, None, one.error, one.origin, one.span, one.stamp) for one in found.photos]
    assert bare == photos
    assert len(found.photos) == len(photos)
    assert list(found.left_out) == sorted(left_out)
    folders = [one.folder for one in found.photos if one.error is None]
    assert all((one.apart is None) == (one.error is not None or one.path in keep) for one in found.photos)
    assert len({unicodedata.normalize("NFC", folder).casefold() for folder in folders}) == len(folders)
    assert all(one.path in found.present for one in files)
    assert "no such path" not in found.present
    assert [found.photos.get(one.path) for one in photos] == list(found.photos)
    assert found.photos.get("no such path") is None


@given(st.lists(names, unique=True, max_size=8))
def test_the_order_of_keys_is_that_of_the_paths(paths: list[str]) -> None:
    assert [text(one) for one in sorted(map(key, paths))] == sorted(paths)


def numbered(count: int) -> Photos:
    return chosen(
        "photos", (Listed(f"{number * 7919 % count:05d}.jpg") for number in range(count)), None, (1, 1)
    ).photos


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
def test_pages_lose_nothing(count: int) -> None:
    photos = numbered(count)
    wanted = [f"{number:05d}.jpg" for number in range(count)]
    assert [one.path for one in photos] == wanted
    odd = photos.only(lambda one: int(one.path[:5]) % 2 == 1)
    third = odd.only(lambda one: int(one.path[:5]) % 3 == 0)
    others = photos.only(lambda one: int(one.path[:5]) % 2 == 0)
    assert [one.path for one in odd] == wanted[1::2]
    assert [one.path for one in third] == wanted[3::6]
    assert [one.path for one in others] == wanted[::2]
    assert (len(photos), len(odd), len(third)) == (count, len(wanted[1::2]), len(wanted[3::6]))
    assert list(photos.only(lambda one: False)) == []


@given(st.lists(st.tuples(names, st.sampled_from([DONE, FAILED]), st.booleans()), max_size=20))
def test_a_ledger_knows_what_a_dictionary_would(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[str, str, bool]]
) -> None:
    """Lines that were there, and lines that are added later; of each photo the last one counts."""
    records = [(Record(path.replace(".", "x"), state, folder="f"), late) for path, state, late in written]
    before, after = ([record for record, late in records if late == when] for when in (False, True))
    path = tmp_path_factory.mktemp("ledger") / "manifest.jsonl"
    path.write_bytes(b"".join(record.to_line() for record in before))
    ledger, wanted = Ledger(path), {record.path: record for record in before}
    assert ledger.whole == (len(wanted) == len(before))
    for record in after:
        with path.open("ab") as file:
            ledger.note(record.path, file.tell())
            file.write(record.to_line())
        wanted[record.path] = record
    assert len(ledger) == len(wanted)
    assert list(ledger) == [wanted[one] for one in sorted(wanted)]
    assert ledger.get("no such path") is None
    kept = b"".join(ledger.lines(lambda record: record.state == DONE))
    path.write_bytes(kept)
    done = {name: record for name, record in wanted.items() if record.state == DONE}
    assert list(ledger) == [done[one] for one in sorted(done)]
    assert {name: ledger.get(name) for name in wanted} == {name: done.get(name) for name in wanted}
    ledger.close()


def test_a_full_disk_for_temporary_files_is_one_line() -> None:
    tables = Tables("CREATE TABLE t (a BLOB)")
    tables.ask("PRAGMA max_page_count = 4")
    with pytest.raises(AttnvizError, match=r"disk for temporary files is full .*set TMPDIR"):
        tables.fill("INSERT INTO t VALUES (?)", ((bytes(1000),) for _ in range(100)))


def test_the_photos_of_a_list_are_read_as_they_come(
    tmp_path: Path, photos: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any line's end, no last one, a mark in front; and the same photo twice is one."""
    photos(tmp_path, ["b.jpg", "a.jpg"])
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfb.jpg\r\n# no photo\n\n  a.jpg\n./b.jpg")
    options: dict[str, Any] = {"beam": 1, "formats": (), "text": "a dog", "threads": 1}
    outcome = run(Captioner.tiny(seed=4), tmp_path / "list.txt", tmp_path / "out", **options)
    assert (outcome.total, outcome.done) == (2, 2)
