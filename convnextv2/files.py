"""Files: written completely or not at all, and images listed."""

import json
import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".npy", ".png", ".tif", ".tiff", ".webp")


class AtomicLocalBackend(LocalBackend):
    """Local files that appear under their name only when completely written."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file beside the target, then rename it over the target."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with open(partial, "wb") as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


register_backend("convnextv2_atomic", AtomicLocalBackend)


def find_images(root: str | Path) -> list[str]:
    """Paths of all images below a folder, sorted."""
    return sorted(
        os.path.join(folder, name)
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
        if name.lower().endswith(IMAGE_SUFFIXES)
    )


def read_list(path: str | Path) -> list[str]:
    """The file names in a text or json list, see `UnlabelledImages`, in its order."""
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"the list of images {path.absolute()} does not exist")
    if path.suffix != ".json":
        return [line for raw in path.read_text().splitlines() if (line := raw.strip())]
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no json: {error}") from error
    if isinstance(content, dict) and "images" in content:
        content = [image["file_name"] for image in content["images"]]
    if not isinstance(content, list) or not all(isinstance(name, str) for name in content):
        raise ValueError(f"{path}: neither a list of paths nor a file in COCO's format")
    return content
