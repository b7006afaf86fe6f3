#!/usr/bin/env bash
# Builds MinkowskiEngine 0.5.4 for the encoder of the same name and installs it beside PYTHON's
# torch. `make minkowski` calls it. Needs a C++ compiler and OpenBLAS with its headers (Debian:
# libopenblas-dev; only libopenblas0 where a wheel is at hand).
#
# Usage: tools/setup/setup_minkowski.sh [PYTHON]
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${1:-.venv/bin/python}
minkowski=minkowskiengine==0.5.4

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
has() { "$python" -W ignore -c "import MinkowskiEngine" >/dev/null 2>&1; }
if has; then exit 0; fi

if ! "$python" -m pip install -q --no-deps --only-binary :all: "$minkowski" 2>/dev/null; then
    say "building $minkowski from source (about 6 minutes on two cores)"
    # Its setup.py knows neither current setuptools nor numpy 2: an environment of its own, with
    # the torch that it will be used with.
    build=$(mktemp -d)
    trap 'rm -rf "$build"' EXIT
    "$python" -m venv "$build/venv"
    torch=$("$python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])')
    "$build/venv/bin/pip" install -q "$torch" numpy==1.26.4 wheel ninja
    "$build/venv/bin/pip" install -q --no-deps setuptools==59.8.0
    "$build/venv/bin/pip" wheel -q --no-deps --no-build-isolation -w "$build" "$minkowski"
    "$python" -m pip install -q --no-deps "$build"/*.whl
fi

# Python 3.10 moved `Sequence` out of `collections`; the last release came before.
"$python" - <<'PYTHON'
import re
import sysconfig
from pathlib import Path

for path in Path(sysconfig.get_path("platlib"), "MinkowskiEngine").rglob("*.py"):
    source = path.read_text()
    changed = re.sub(
        r"^from collections import Sequence(?:, (\w+))?$",
        lambda m: "from collections.abc import Sequence"
        + (f"\nfrom collections import {m[1]}" if m[1] else ""),
        source,
        flags=re.MULTILINE,
    )
    if changed != source:
        path.write_text(changed)
PYTHON

"$python" -W ignore -c "import MinkowskiEngine" ||
    { echo "MinkowskiEngine does not import; is OpenBLAS installed (libopenblas0)?" >&2; exit 1; }
say "MinkowskiEngine is ready"
