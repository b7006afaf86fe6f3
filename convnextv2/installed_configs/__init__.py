"""Where mmengine finds the configs of ``_base_ = 'convnextv2::...'``; imported when it looks.

mmengine looks in ``.mim/configs`` beside a module. mim, given the bare name of a config, searches
every folder of the checkout or of the installed package and refuses a config that it meets twice,
as it would through such a link inside. So the link is made outside, for as long as this process
runs, beside a module `package` that has nothing in it; wheel and editable install alike.
"""

import atexit
import shutil
import tempfile
from importlib.util import find_spec
from pathlib import Path


def _link() -> str:
    """Make a folder with ``package.py`` and ``.mim``; returns its path."""
    folder = Path(tempfile.mkdtemp(prefix="convnextv2-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    # Configs are beside the tools, in a checkout as in a wheel.
    spec = find_spec("convnextv2.tools")
    assert spec is not None
    root = Path(str(spec.origin)).resolve().parents[1]
    (folder / "package.py").touch()
    (folder / ".mim").mkdir()
    for name in ("configs", "model-index.yml"):
        (folder / ".mim" / name).symlink_to(root / name)
    return str(folder)


__path__ = [_link()]
