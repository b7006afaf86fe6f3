"""What an exported file says of itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .resizing import STEPS
from .results import FINISH

KEY = "convnextv2"  # of the model's metadata
FORM = 1  # of what is said; a reader of another refuses
# What every file says of itself.
_NEEDED = {"task": str, "kind": str, "classes": list, "palette": list, "label_offset": int}
_OF_IMAGES = {"channels": int, "channel_order": str, "steps": list, "smallest": int}


def read_about(text: str | None, path: str | Path) -> dict[str, Any]:
    """What an exported file says of itself.

    Raises:
        ValueError: It says nothing, or in another form.
    """
    try:
        about = json.loads(text or "{}")
    except (ValueError, RecursionError):
        about = {}
    if not isinstance(about, dict) or about.get("form") != FORM:
        raise ValueError(
            f"{path} was not written by this version's tools/deployment/export_model.py"
        )
    if wrong := _find_wrong(about):
        raise ValueError(f"{path} does not say of itself what is needed to run it: {wrong}")
    return about


def _find_wrong(about: dict[str, Any]) -> str:
    """Names of what is missing or unknown, or nothing."""
    image = about.get("image")
    image = image if isinstance(image, dict) else {}
    kind, steps = about.get("kind"), image.get("steps")
    wrong = [name for name, type_ in _NEEDED.items() if not isinstance(about.get(name), type_)]
    wrong += [
        f"image.{n}" for n, type_ in _OF_IMAGES.items() if not isinstance(image.get(n), type_)
    ]
    if isinstance(kind, str) and kind not in FINISH:
        wrong.append(f"kind {kind[:40]!r}")
    extra = {"objects": "mask_threshold", "labels": "threshold"}.get(str(kind))
    wrong += [name for name in ("windows", extra) if name and name not in about]
    for step in steps if isinstance(steps, list) else []:
        name = step.get("step") if isinstance(step, dict) else step
        if str(name) not in STEPS:
            wrong.append(f"image.steps {str(name)[:40]!r}")
    return ", ".join(wrong)
