"""Reading torch's files so that nothing in them runs: tensors and plain data come out.

torch's restricted unpickler calls whatever it finds on a list of names, and mmengine's addition to
that list has `getattr`, by which a file reaches the interpreter. So nothing of mmengine or numpy is
called here. Each name that checkpoints hold beyond torch's own leads to a small class below, which
keeps what it is given and does nothing; real arrays and buffers are made afterwards, of what was
checked. The test of this file pins torch's own list: it fails when that grows.
"""

import pickle
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from .stand_ins import STAND_INS, NotPlainError, make_plain

DESCRIPTION = "only tensors and plain data are read"


def load_plain(path: Path, map_location: str | torch.device = "cpu") -> object:
    """What `torch.save` wrote into a file.

    Args:
        path: The file, whose form has been checked (`check_form`).
        map_location: As of `torch.load`; ``meta`` makes tensors without values.

    Raises:
        ValueError: The file is damaged, or holds anything but tensors and plain data. The
            message begins with a verb: "holds ...".
    """
    try:
        with _only(STAND_INS):
            content = torch.load(path, map_location=map_location, weights_only=True)
        return make_plain(content)
    except pickle.UnpicklingError as error:
        raise ValueError(_explain(str(error))) from error
    except NotPlainError:
        raise
    except RecursionError as error:
        raise ValueError("has data nested deeper than any checkpoint's") from error
    except Exception as error:  # a crafted pickle makes torch raise whatever it stumbles on
        if "magic number" in str(error):
            raise ValueError(f"is a pickle that torch did not write; {DESCRIPTION}") from error
        reason = " ".join(str(error).split("\n")[0].split()) or type(error).__name__
        raise ValueError(f"is damaged: {reason}") from error


def _explain(reason: str) -> str:
    """torch's refusal without its advice."""
    if match := re.search(r"GLOBAL (\S+?),? (?:was|whose)", reason):
        name = match[1].removeprefix("builtins.")  # which torch 2.5 says
        return f"holds {name}, which would run code when loaded; {DESCRIPTION}"
    if "Invalid magic number" in reason or "Unsupported operand" in reason:
        return f"is a pickle that torch did not write; {DESCRIPTION}"
    first = reason.split("\n")[0].replace("Weights only load failed.", "").strip()
    lines = [line for line in reason.split("\n") if line.startswith("WeightsUnpickler error")]
    text = (lines[0].partition(": ")[2] if lines else first) or "not readable"
    return f"is refused by torch: {text.split('. ')[0].rstrip('.')}; {DESCRIPTION}"


@contextmanager
def _only(allowed: list) -> Iterator[None]:
    """Let torch's unpickler know these names beyond its own, and no other library's."""
    before = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(allowed)
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)
