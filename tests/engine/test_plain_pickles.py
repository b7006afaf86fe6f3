"""Tensors and plain data come out of weight files; code in them does not run."""

import argparse
import datetime
import enum
import pathlib
import zipfile
from collections import Counter, OrderedDict, namedtuple

import crafted
import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import checkpoint as mmengine_checkpoint

from convnextv2.engine.plain_data import keep_plain
from convnextv2.engine.plain_pickles import load_plain
from convnextv2.engine.weights import read_checkpoint, read_content

PAYLOAD = "open('touched', 'w').close()"
CRAFTED = sorted(crafted.pickles(PAYLOAD))


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", CRAFTED)
def test_no_crafted_file_runs_anything(tmp_path, kind):
    path = crafted.write(tmp_path / "crafted.pth", crafted.pickles(PAYLOAD)[kind])
    with pytest.raises(ValueError, match=r"crafted\.pth was refused: ") as refusal:
        read_content(str(path))
    assert not (tmp_path / "touched").exists()
    message = str(refusal.value)
    assert "\n" not in message
    assert "weights_only" not in message
    assert "add_safe_globals" not in message


def test_the_crafted_file_would_run_by_mmengines_own_list(tmp_path):
    if not hasattr(mmengine_checkpoint, "get_torch_safe_globals"):
        pytest.skip("this mmengine has no list: it reads without protection")
    path = crafted.write(tmp_path / "crafted.pth", crafted.pickles(PAYLOAD)["getattr"])
    with torch.serialization.safe_globals(mmengine_checkpoint.get_torch_safe_globals()):
        torch.load(path, weights_only=True)
    assert (tmp_path / "touched").exists()


def test_names_that_others_allow_are_not_allowed_here(tmp_path):
    path = crafted.write(tmp_path / "crafted.pth", crafted.pickles(PAYLOAD)["exec"])
    with torch.serialization.safe_globals([exec]):
        with pytest.raises(ValueError, match=r"holds exec, which would run code"):
            load_plain(path)
        assert exec in torch.serialization.get_safe_globals()  # theirs are left as they were
    assert not (tmp_path / "touched").exists()


def test_the_list_of_allowed_names_has_not_grown():
    """What torch allows by itself, beyond dtypes, storages and tensor classes.

    A new name here is to be looked at: can it be made to call, or to hand out attributes?
    """
    allowed = torch._weights_only_unpickler._get_allowed_globals()
    kinds = (torch.dtype, torch.qscheme, torch.serialization.StorageType)
    names = {
        path
        for path, value in allowed.items()
        if not isinstance(value, kinds)
        and value not in torch._tensor_classes
        and value not in torch._storage_classes
    }
    assert names <= {
        "_codecs.encode",
        "builtins.bytearray",
        "builtins.complex",
        "builtins.set",
        "collections.Counter",
        "collections.OrderedDict",
        "torch.Size",
        "torch.Tensor",
        "torch._tensor._rebuild_from_type_v2",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_nested_tensor",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_parameter_with_state",
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
        "torch._utils._rebuild_wrapper_subclass",
        "torch.device",
        "torch.nn.parameter.Parameter",
        "torch.serialization._get_layout",
    }


@pytest.mark.parametrize("legacy", [False, True])
def test_plain_data_come_out_as_they_went_in(tmp_path, legacy):
    state_dict = torch.nn.Linear(2, 3).state_dict()
    arrays = {
        "f": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big-endian": np.arange(3, dtype=">i2"),
        "text": np.array(["a", "bcd"]),
        "objects": np.array(["a", None, 3], object),
        "nothing": np.zeros((0, 3), np.float32),
        "date": np.array(["2020-01-02"], "M8[D]"),
    }
    own = [t for t in np.sctypeDict.values() if t.__module__ == "numpy"]  # ml_dtypes adds to it
    types = {t.__name__: t for t in own if t not in (np.object_, np.void)}
    numbers = {n: kind(1) for n, kind in types.items() if np.dtype(kind).kind not in "mMS"}
    content = {
        "state_dict": state_dict,
        "numbers": numbers,
        "times": [np.datetime64("2020"), np.timedelta64(3, "s")],
        "text": [np.str_(""), np.bytes_(b"a")],
        "dtypes": [np.dtype(np.float32), np.dtype("U3"), torch.bfloat16],
        "types": [np.float32, np.ndarray],
        "slice": slice(1, None),
        "counts": Counter("aab"),
        "set": {1, 2},
        "keys": {np.int64(3): "three"},
    }
    path = tmp_path / "plain.pth"
    torch.save({**content, "arrays": arrays}, path, _use_new_zipfile_serialization=not legacy)
    got = load_plain(path)
    for key, expected in arrays.items():
        array = got["arrays"][key]
        assert (array.dtype, array.shape) == (expected.dtype, expected.shape), key
        assert np.array_equal(array, expected), key
    assert got["state_dict"]._metadata == state_dict._metadata
    assert all(torch.equal(got["state_dict"][k], state_dict[k]) for k in state_dict)
    for key in content.keys() - {"state_dict"}:
        assert got[key] == content[key], key
    assert [v.dtype for v in got["numbers"].values()] == [v.dtype for v in numbers.values()]


def test_history_buffers_come_out_working(tmp_path):
    hub = MessageHub.get_instance("plain pickles")
    for value in (1.0, 2.0, 6.0):
        hub.update_scalar("train/loss", value)
    hub.update_info("best", np.float32(0.5))
    torch.save({"message_hub": hub.state_dict(), "empty": HistoryBuffer()}, tmp_path / "a.pth")
    again = MessageHub.get_instance("plain pickles, again")
    content = load_plain(tmp_path / "a.pth")
    again.load_state_dict(content["message_hub"])
    buffer = again.get_scalar("train/loss")
    assert [buffer.statistics(name) for name in ("min", "max", "mean", "current")] == [1, 6, 3, 6]
    assert again.get_info("best") == np.float32(0.5)
    assert len(content["empty"].data[0]) == 0


def test_the_authors_command_line_becomes_a_dict(tmp_path):
    args = argparse.Namespace(lr=1e-3, output_dir=pathlib.PosixPath("/a/b"))
    torch.save({"model": {"a": torch.ones(1)}, "args": args}, tmp_path / "a.pth")
    assert load_plain(tmp_path / "a.pth")["args"] == {"lr": 1e-3, "output_dir": "/a/b"}


def test_shared_and_circular_parts_are_met_once(tmp_path):
    part = [np.float32(1)]
    for _ in range(200):  # 2**200 parts, if each were met anew
        part = [part, part]
    circle = [np.float32(2)]
    circle.append(circle)
    torch.save({"part": part, "circle": circle}, tmp_path / "a.pth")
    content = load_plain(tmp_path / "a.pth")
    assert content["part"][0] is content["part"][1]
    assert content["circle"][1] is content["circle"]
    assert content["circle"][0] == 2


def test_what_is_no_weight_file_is_refused_in_a_line(tmp_path):
    for name, (path, words) in crafted.odd_files(tmp_path).items():
        with pytest.raises(ValueError, match="was refused") as refusal:
            read_checkpoint(str(path))
        message = str(refusal.value)
        assert name in message
        assert words in message, name
        assert "\n" not in message, name
        assert "weights_only" not in message, name


def test_nothing_absurd_fills_the_memory(tmp_path):
    resource = pytest.importorskip("resource")
    size = call_size = crafted.struct.pack("<BB", 0x8A, 6) + (10**13).to_bytes(6, "little")
    pickles = {
        "array": crafted.build(
            crafted.ARRAY,
            crafted.items(b"K\x01", call_size + b"\x85", crafted.DTYPE, b"\x89", b"U\x01a"),
        ),
        "tensor": crafted.call(crafted.name("torch.Tensor"), size),
        "bytes": crafted.call(crafted.name("builtins.bytearray"), size),
    }
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, pickled in pickles.items():
        with pytest.raises(ValueError, match="was refused"):
            read_content(str(crafted.write(tmp_path / f"{name}.pth", pickled)))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # kB


def test_crafted_flags_of_a_dtype_change_nothing(tmp_path):
    number = crafted.items(b"K\x03", crafted.text("|"), *[crafted.NONE] * 3, *[b"K\x3f"] * 3)
    path = crafted.write(tmp_path / "a.pth", crafted.build(crafted.DTYPE, number))
    assert load_plain(path)["extra"].isbuiltin  # numpy's own float64


class Colour(enum.IntEnum):
    RED = 3


def test_what_a_hook_leaves_in_a_checkpoint_can_be_read_again(tmp_path):
    point = namedtuple("point", "x y")
    info = {
        "score": np.float32(0.5),
        "colour": Colour.RED,
        "path": pathlib.Path("/a"),
        "when": datetime.date(2020, 1, 2),
        "point": point(1, 2),
        "classes": OrderedDict(a=("b", np.array([1]))),
        "function": len,
        "nested": [1, {"object": object(), "kept": 2}],
        "array": np.array([object()]),
        "ids": frozenset([1]),
    }
    dropped = []
    torch.save(keep_plain(info, "info", dropped), tmp_path / "a.pth")
    assert load_plain(tmp_path / "a.pth") == {
        "score": np.float32(0.5),
        "colour": 3,
        "path": "/a",
        "when": "2020-01-02",
        "point": (1, 2),
        "classes": OrderedDict(a=("b", np.array([1]))),
        "nested": [1, {"kept": 2}],
        "ids": {1},
    }
    assert dropped == [
        "info.function (builtin_function_or_method)",
        "info.nested[1].object (object)",
        "info.array (ndarray)",
    ]


def test_statistics_that_somebody_registered_do_not_keep_a_checkpoint_from_being_read(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(HistoryBuffer, "_statistics_methods", {"mine": len})
    buffer = HistoryBuffer([1.0, 3.0], [1, 1])
    torch.save(keep_plain({"loss": buffer}, "log_scalars", []), tmp_path / "a.pth")
    assert load_plain(tmp_path / "a.pth")["loss"].mean() == 2


def test_the_files_of_torch_are_zip_files_of_stored_members(tmp_path):
    """What `_check_zip` relies on when it refuses compressed members."""
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        assert {m.compress_type for m in archive.infolist()} == {zipfile.ZIP_STORED}
