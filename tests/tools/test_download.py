"""Downloads go on where they broke off and are checked; archives write nowhere else."""

import hashlib
import tarfile
import zipfile

import pytest
from file_server import serve

from convnextv2 import downloads

CONTENT = bytes(range(256)) * 40
SHA1 = "sha1:" + hashlib.sha1(CONTENT).hexdigest()


@pytest.mark.parametrize("ranges", [True, False])
def test_a_broken_download_goes_on(tmp_path, ranges):
    with serve({"a.bin": CONTENT}, ranges, cut=1000) as (address, asked):
        downloads.download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert asked == [("/a.bin", 0), ("/a.bin", 1000)]
        downloads.download(f"{address}/a.bin", tmp_path / "new/a.bin", SHA1)
        assert len(asked) == 2  # it was there
    assert (tmp_path / "new/a.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.bin"]


def test_another_run_goes_on_and_a_wrong_file_is_named(tmp_path):
    download = downloads.download
    with serve({"a.bin": CONTENT}, cut=1000) as (address, asked):
        with pytest.raises(SystemExit, match="broke off after 1000 bytes"):
            download(f"{address}/a.bin", tmp_path / "a.bin", SHA1, attempts=1)
        download(f"{address}/a.bin", tmp_path / "a.bin", SHA1)
        assert asked[-1] == ("/a.bin", 1000)
        (tmp_path / "b.bin.part").write_bytes(CONTENT)  # complete, but not yet renamed
        download(f"{address}/a.bin", tmp_path / "b.bin", SHA1)
        assert (tmp_path / "b.bin").read_bytes() == CONTENT
        (tmp_path / "c.bin.part").write_bytes(b"another file")
        with pytest.raises(
            SystemExit, match=r"c\.bin\.part has the sha1 .*, expected .*fetch it again"
        ):
            download(f"{address}/a.bin", tmp_path / "c.bin", SHA1)
        assert not list(tmp_path.glob("c.bin*"))
        with pytest.raises(SystemExit, match="the server says HTTP Error 404"):
            download(f"{address}/none.bin", tmp_path / "d.bin", None)


def test_archives_cannot_write_elsewhere(tmp_path):
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../../outside.txt", "x")
    downloads.unpack(tmp_path / "bad.zip", tmp_path / "inside/deep")
    with tarfile.open(tmp_path / "bad.tar", "w") as archive:
        archive.add(tmp_path / "bad.zip", "../../outside.txt")
    with tarfile.open(tmp_path / "nested.tar", "w") as archive:
        archive.add(tmp_path / "bad.tar", "../../deep.tar")
    for unpack, name in ((downloads.unpack, "bad.tar"), (downloads.unpack_nested, "nested.tar")):
        with pytest.raises(SystemExit, match=f"{name} cannot be unpacked.*outside"):
            unpack(tmp_path / name, tmp_path / "inside/deep")
    written = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("outside.txt")]
    assert written == ["inside/deep/outside.txt"]  # the zip file's
    (tmp_path / "cut.zip").write_bytes((tmp_path / "bad.zip").read_bytes()[:-30])
    with pytest.raises(SystemExit, match=r"cut\.zip cannot be unpacked"):
        downloads.unpack(tmp_path / "cut.zip", tmp_path)
