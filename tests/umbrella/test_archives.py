"""Archives are unpacked to checked names, or refused before anything is written."""

import bz2
import gzip
import io
import os
import stat
import struct
import tarfile
import zipfile

import pytest

from convnextv2 import archives
from convnextv2.archives import ArchiveError

HOSTILE = [
    "../outside",
    "a/../../outside",
    "/outside",
    "a\\..\\outside",
    "C:outside",
    "a/..",
    "a\n",
]


@pytest.fixture
def inside(tmp_path):
    """The folder to unpack to, of which the tests look at everything around."""
    (tmp_path / "around/inside").mkdir(parents=True)
    return tmp_path / "around/inside"


def files_around(inside):
    around = inside.parent
    return sorted(str(path.relative_to(around)) for path in around.rglob("*") if path.is_file())


def member(name, content=b"x", kind=tarfile.REGTYPE, link="", **pax):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, link, pax
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, io.BytesIO(content)


def write_tar(path, *members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        for info, content in members:
            archive.addfile(info, content)
    return path


def write_zip(path, *members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refused(archive, inside, reason, unpack=archives.unpack, **options):
    with pytest.raises(ArchiveError, match=reason) as caught:
        unpack(archive, inside, **options)
    assert str(caught.value).startswith(f"{archive} cannot be unpacked: ")
    assert "\n" not in str(caught.value)
    assert files_around(inside) == []


def test_files_appear_complete_and_stay(tmp_path, inside):
    files = {"a/1.jpg": b"one", "./a//2.jpg": b"two" * 10**6, "b/c/3": b""}
    tar = write_tar(
        tmp_path / "a.tar",
        member("./", kind=tarfile.DIRTYPE),
        member("a", kind=tarfile.DIRTYPE),
        *(member(name, content) for name, content in files.items()),
    )
    plain = tar.read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(gzip.compress(plain))
    (tmp_path / "a.tbz").write_bytes(bz2.compress(plain))
    write_zip(tmp_path / "a.zip", ("a/", b""), *files.items())
    for name in ("a.tar", "a.tar.gz", "a.tbz", "a.zip"):
        folder = inside / name
        (folder / "a").mkdir(parents=True)
        (folder / "a/1.jpg").write_bytes(b"own")  # of its size: kept
        (folder / "a/2.jpg").write_bytes(b"half")  # of another: written anew
        archives.unpack(tmp_path / name, folder)
        found = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.jpg")}
        assert found == {"a/1.jpg": b"own", "a/2.jpg": b"two" * 10**6}
        assert (folder / "b/c/3").read_bytes() == b""
        assert not list(folder.rglob("*.partial"))
        assert stat.S_IMODE(os.stat(folder / "b/c/3").st_mode) & 0o7133 == 0


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_are_refused(tmp_path, inside, name):
    reason = "could lead out of the folder"
    refused(write_tar(tmp_path / "a.tar", member("fine"), member(name)), inside, reason)
    refused(write_tar(tmp_path / "b.tar", member("fine"), member("b", path=name)), inside, reason)
    refused(write_zip(tmp_path / "a.zip", ("fine", b"x"), (name, b"x")), inside, reason)
    inner = write_tar(tmp_path / "in.tar", member(name)).read_bytes()
    nested = write_tar(tmp_path / "nested.tar", member("n01.tar", inner))
    refused(nested, inside, reason, archives.unpack_nested)


@pytest.mark.parametrize("name", ["...tar", "../n01.tar", "/n01.tar", "n01\\.tar"])
def test_names_of_nested_archives_are_checked(tmp_path, inside, name):
    inner = write_tar(tmp_path / "in.tar", member("outside")).read_bytes()
    nested = write_tar(tmp_path / "nested.tar", member(name, inner))
    refused(nested, inside, "could lead out", archives.unpack_nested)


def test_nested_archives_with_one_folder_are_refused(tmp_path, inside):
    inner = write_tar(tmp_path / "in.tar", member("a.jpg")).read_bytes()
    nested = write_tar(tmp_path / "a.tar", member("a/n.tar", inner), member("b/n.tar", inner))
    refused(nested, inside, "have the name 'n'", archives.unpack_nested)


def test_a_folder_in_the_place_of_a_nested_archive_is_refused(tmp_path, inside):
    nested = write_tar(tmp_path / "a.tar", member("n.tar", kind=tarfile.DIRTYPE))
    refused(nested, inside, "'n.tar' in it is a folder", archives.unpack_nested)


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_are_refused(tmp_path, inside, kind):
    reason = "'dir' in it is a link or a device"
    tar = write_tar(tmp_path / "a.tar", member("dir", kind=kind, link="fine"), member("dir/x"))
    refused(tar, inside, reason)
    info = zipfile.ZipInfo("dir")
    info.external_attr = {tarfile.SYMTYPE: stat.S_IFLNK}.get(kind, stat.S_IFCHR) << 16
    refused(write_zip(tmp_path / "a.zip", (info, b"..")), inside, reason)


def test_a_chain_of_links_past_pythons_filter_is_refused(tmp_path, inside):
    """Symbolic links whose real path is too long to be resolved, as in CVE-2025-4517."""
    chain, deep = [], ""
    for step in "abcdefghijklmnop":
        folder = f"{deep}{'d' * 247}"
        chain.append(member(folder, kind=tarfile.DIRTYPE))
        chain.append(member(f"{deep}{step}", kind=tarfile.SYMTYPE, link="d" * 247))
        deep += f"{step}/"
    chain.append(member(f"{deep}{'l' * 254}", kind=tarfile.SYMTYPE, link="../" * 16))
    chain.append(member("escape", kind=tarfile.SYMTYPE, link=f"{deep}{'l' * 254}/../../outside"))
    chain.append(member("escape/outside"))
    refused(write_tar(tmp_path / "a.tar", *chain), inside, "'a' in it is a link")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["a", "b", "a"], "two members of it have the name 'a'"),
        (["a/b", "./a//b"], r"two members of it have the name './a//b'"),
        (["a", "a/b"], "'a' in it is a file and a folder"),
        (["a/b/c", "a/b"], "two members of it have the name 'a/b'"),
        (["."], "'.' in it is no name"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_collide_are_refused(tmp_path, inside, names, reason):
    refused(write_tar(tmp_path / "a.tar", *map(member, names)), inside, reason)
    refused(write_zip(tmp_path / "a.zip", *((n, b"x") for n in names)), inside, reason)


def test_bombs_are_refused(tmp_path, inside, monkeypatch):
    monkeypatch.setattr(archives, "SMALL", 1000)
    reason = "unpacks to more than"
    bomb = write_zip(tmp_path / "a.zip", ("a", bytes(10**6)))
    refused(bomb, inside, reason)
    archives.unpack(bomb, inside / "wanted", max_bytes=10**6)
    (inside / "wanted/a").unlink()
    tar = write_tar(tmp_path / "a.tar", member("a", bytes(10**6)))
    (tmp_path / "a.tgz").write_bytes(gzip.compress(tar.read_bytes()))
    refused(tmp_path / "a.tgz", inside, reason)
    nested = write_tar(tmp_path / "n.tar", *(member(f"{i}.tar", tar.read_bytes()) for i in (1, 2)))
    archives.unpack_nested(nested, inside, max_bytes=4 * 10**6 + 50_000)
    with pytest.raises(ArchiveError, match=reason):
        archives.unpack_nested(nested, inside / "less", max_bytes=3 * 10**6)
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    with pytest.raises(ArchiveError, match="more than 2 members"):
        archives.unpack(write_tar(tmp_path / "3.tar", *map(member, "abc")), inside / "three")


def test_a_member_larger_than_it_claims_is_refused(tmp_path, inside):
    path = write_zip(tmp_path / "a.zip", ("a", bytes(10**6)))
    content = path.read_bytes()
    assert content.count(struct.pack("<I", 10**6)) == 2  # in both headers
    path.write_bytes(content.replace(struct.pack("<I", 10**6), struct.pack("<I", 10)))
    refused(path, inside, "CRC")
    with pytest.raises(EOFError, match="has not the 10 bytes"):
        archives._write(io.BytesIO(bytes(11)), inside / "a", 10)
    assert files_around(inside) == []


def test_headers_cannot_fill_the_memory_or_loop(tmp_path, inside):
    def packed(size, kind):
        info = tarfile.TarInfo("a")
        info.size, info.type = size, kind
        header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        header[148:156] = b"%06o\0 " % (sum(header[:148]) + 256 + sum(header[156:512]))
        return bytes(header)

    header = "a header of"
    for size, kind, reason in (
        (2**33, b"x", header),
        (2**33, b"L", header),
        (-512, b"x", header),
        (-512, b"0", "has -512 bytes"),
        (-1024, b"5", "has -1024 bytes"),
    ):
        (tmp_path / "a.tar").write_bytes(packed(size, kind) + bytes(10240))
        refused(tmp_path / "a.tar", inside, reason)


def test_what_cannot_be_read_is_named(tmp_path, inside):
    path = write_zip(tmp_path / "a.zip", ("a", os.urandom(100)), ("b", b"x"))
    whole = path.read_bytes()
    central = whole.index(b"PK\1\2")
    path.write_bytes(whole[: central + 8] + b"\1" + whole[central + 9 :])
    refused(path, inside, "'a' in it is encrypted")
    path.write_bytes(whole[: central + 10] + b"\x63" + whole[central + 11 :])
    refused(path, inside, "'a' in it is packed by the method 99")
    path.write_bytes(whole[:40] + bytes(4) + whole[44:])
    refused(path, inside, "CRC|invalid|Error")
    for length in (0, 10, 100, len(whole) - 30):
        path.write_bytes(whole[:length])
        refused(path, inside, "not a zip file")
    tar = write_tar(tmp_path / "a.tar", *(member(name, bytes(5000)) for name in "abc"))
    whole = tar.read_bytes()
    for length in (0, 10, 512, 5000, 5632 + 512, 11264 + 100, 3 * 5632):
        tar.write_bytes(whole[:length])
        refused(tar, inside, "if damaged, remove it and fetch it again")
    (tmp_path / "a.tgz").write_bytes(gzip.compress(whole)[:-20])
    refused(tmp_path / "a.tgz", inside, "if damaged")


def test_an_error_of_the_disk_is_no_damage(tmp_path, inside):
    (inside / "a").mkdir()
    with pytest.raises(IsADirectoryError):
        archives.unpack(write_tar(tmp_path / "a.tar", member("a")), inside)
    assert files_around(inside) == []


def test_one_file_is_read_from_an_archive(tmp_path):
    tar = write_tar(tmp_path / "a.tar", member("a/b", b"text"), member("l", kind=tarfile.SYMTYPE))
    assert archives.read_member(tar, "a/b") == b"text"
    for name, reason in (("c", "'c' not found"), ("l", "l in it is no file of at most")):
        with pytest.raises(ArchiveError, match=f"a.tar cannot be unpacked: .*{reason}"):
            archives.read_member(tar, name)
