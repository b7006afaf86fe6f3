"""Weight files that would run code, and files that are no weight files."""

import gzip
import io
import pickle
import struct
import tarfile
import zipfile

import torch

# Opcodes of pickle protocol 2, which torch's restricted unpickler knows.
STOP = b"."


def text(value):
    encoded = value.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


def name(path):
    module, _, attribute = path.rpartition(".")
    return f"c{module}\n{attribute}\n".encode()


def items(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(function, *arguments):
    return function + items(*arguments) + b"R"


def new(kind, *arguments):
    return kind + items(*arguments) + b"\x81"


def build(instance, state):
    return instance + state + b"b"


def attribute(owner, attribute_name):
    return call(name("builtins.getattr"), owner, text(attribute_name))


def apply(function, kind, *arguments):
    """torch calls any function given here, if it comes out as `kind`."""
    rebuild = name("torch._tensor._rebuild_from_type_v2")
    return call(rebuild, function, kind, items(*arguments), b"N")


NONE, ZERO = b"N", b"K\x00"
BUFFER = name("mmengine.logging.history_buffer.HistoryBuffer")
DTYPE = call(name("numpy.dtype"), text("f8"), b"\x89", b"\x88")
RECONSTRUCT = name("numpy._core.multiarray._reconstruct")
ARRAY = call(RECONSTRUCT, name("numpy.ndarray"), ZERO + b"\x85", NONE)


def through_getattr(payload):
    """From a method that mmengine's buffers name to the interpreter's `exec`."""
    variables = attribute(attribute(BUFFER, "min"), "__globals__")
    get = attribute(variables, "get")
    builtins = apply(get, attribute(variables, "__class__"), text("__builtins__"))
    execute = apply(attribute(builtins, "get"), attribute(get, "__class__"), text("exec"))
    return apply(execute, attribute(NONE, "__class__"), text(payload))


def pickles(payload):
    """name -> the pickle of a file that tries to execute `payload`, or to prepare that."""
    execute = name("builtins.exec")
    tensor = call(name("torch._utils._rebuild_tensor_v2"), *[NONE] * 6)
    return {
        "getattr": through_getattr(payload),
        "exec": call(execute, text(payload)),
        "eval": call(name("builtins.eval"), text(payload)),
        "os.system": call(name("os.system"), text("touch touched")),
        "posix.system": call(name("posix.system"), text("touch touched")),
        "functools.partial": call(name("functools.partial"), execute, text(payload)),
        "operator.methodcaller": call(name("operator.methodcaller"), text("system")),
        "operator.attrgetter": call(name("operator.attrgetter"), text("__globals__")),
        "importlib": call(name("importlib.import_module"), text("os")),
        "dunder name": name("mmengine.logging.history_buffer.HistoryBuffer.min.__globals__"),
        "rebuild a name": apply(execute, NONE, text(payload)),
        "parameter of a name": call(
            name("torch._utils._rebuild_parameter"), execute, b"\x88", items()
        ),
        "numpy scalar of a name": call(name("numpy._core.multiarray.scalar"), execute, text("")),
        "numpy scalar of objects": call(
            name("numpy._core.multiarray.scalar"),
            call(name("numpy.dtype"), text("O"), b"\x89", b"\x88"),
            text(payload),
        ),
        "numpy array of a name": call(RECONSTRUCT, execute, ZERO + b"\x85", NONE),
        "array with a crafted state": build(
            ARRAY, items(b"K\x01", b"J\x00\x00\x00\x7f\x85", DTYPE, b"\x89", text("ab"))
        ),
        "buffer with crafted attributes": build(
            new(BUFFER), b"}" + text("_statistics_methods") + through_getattr(payload) + b"s"
        ),
        "getattr of another class": attribute(name("torch.nn.parameter.Parameter"), "data"),
        "getattr of another method": attribute(BUFFER, "__init__"),
        "getattr alone": name("builtins.getattr"),
        "state of a tensor": build(tensor, through_getattr(payload)),
        "a function alone": name("torch._utils._rebuild_tensor"),
        "a dict with another method": build(
            call(name("collections.OrderedDict")), b"}" + text("get") + b"}s"
        ),
        "a class called as a function": call(name("numpy.float64"), text(payload)),
        "a stand-in built with slots": build(
            new(name("argparse.Namespace")), items(NONE, b"}" + text("real") + execute + b"s")
        ),
    }


def write(path, pickled, content=None):
    """A file of `torch.save` that holds `content`, and a crafted part as ``extra``."""
    torch.save(content or {"state_dict": {"a": torch.ones(2)}, "meta": {}}, path)
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    (place,) = (member for member in members if member.endswith("data.pkl"))
    assert members[place].endswith(STOP)
    members[place] = members[place][:-1] + text("extra") + pickled + b"s" + STOP
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return path


def odd_files(folder):
    """name -> (a file that is none of ours, words of its refusal)."""
    whole = folder / "whole.pth"
    torch.save({"a": torch.arange(1000.0)}, whole)
    content = whole.read_bytes()
    flipped = bytearray(content)
    flipped[content.index(torch.arange(1000.0).numpy().tobytes()[400:440])] ^= 1
    nested, tar, packed = io.BytesIO(), io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(nested, "w") as archive:
        archive.write(whole, "model.pth")
    with tarfile.open(fileobj=tar, mode="w") as archive:
        archive.add(whole, "model.pth")
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**6))
    torch.jit.script(torch.nn.Linear(1, 1)).save(folder / "script.pt")
    files = {
        "empty.pth": (b"", "is empty"),
        "empty.safetensors": (b"", "is empty"),
        "cut.pth": (content[:-200], "truncated or damaged"),
        "flipped.pth": (bytes(flipped), "the checksum of"),
        "nested.zip": (nested.getvalue(), "a zip archive with model.pth in it"),
        "model.tar": (tar.getvalue(), "a tar archive"),
        "model.pth.gz": (gzip.compress(content), "a gzip archive"),
        "bomb.pth": (packed.getvalue(), "compressed parts"),
        "page.pth": (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        "pointer.pth": (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        "words.pth": (b"hello " * 99, "neither of torch's nor of safetensors' form"),
        "numbers.pth": (pickle.dumps({"a": 1}, 2), "a pickle that torch did not write"),
        "cut.safetensors": (struct.pack("<Q", 10**6) + b"{", "is truncated"),
        "wrong.safetensors": (struct.pack("<Q", 4) + b'{"a"' + bytes(9), "its header is damaged"),
    }
    for file, (bytes_, _) in files.items():
        (folder / file).write_bytes(bytes_)
    files["script.pt"] = (None, "TorchScript, which is code")
    return {file: (folder / file, words) for file, (_, words) in files.items()}
