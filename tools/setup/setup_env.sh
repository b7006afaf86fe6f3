#!/usr/bin/env bash
# Makes PYTHON an environment in which the whole project runs. Every step first looks whether it
# is still to be done, so that an interrupted setup goes on where it was, and a finished one costs
# a second. `make demo` and `make test` call it.
#
# Usage: tools/setup/setup_env.sh [PYTHON] [TORCH]
#   PYTHON  .venv/bin/python (default): created here. Any other: used as it is; nothing in it is
#           replaced, only this package (editable) and pure-Python requirements are added.
#   TORCH   the requirement installed where there is no torch yet.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${1:-.venv/bin/python}
torch=${2:-torch==2.13.0}
mmcv=onedl-mmcv==2.3.6 # pinned: the release known to build against the torch above

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
has() { "$python" -c "import $1" >/dev/null 2>&1; }
pip_install() { "$python" -m pip install --quiet --disable-pip-version-check "$@"; }

if [ "$python" = .venv/bin/python ] && ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(command -v python3.11 || command -v python3 || true)
    [ -n "$base" ] || { echo "python3 is not on the PATH; 3.10 or newer is needed" >&2; exit 1; }
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        { echo "$base is $("$base" --version); 3.10 or newer is needed" >&2; exit 1; }
    options=()
    if "$base" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        say "using the torch with CUDA that $base already has"
        options=(--system-site-packages)
    fi
    say "creating .venv with $("$base" --version) (seconds)"
    "$base" -m venv --clear "${options[@]}" .venv
fi

# Nothing to do if the last complete setup was of this very definition.
stamp=$("$python" -c 'import sys; print(sys.prefix)')/.convnextv2-dense-setup
wanted=$(cat pyproject.toml tools/setup/setup_env.sh | cksum; pwd)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

if ! has torch; then
    if command -v nvidia-smi >/dev/null 2>&1; then torch="torch>=2.4"; fi
    say "installing $torch (a minute or two)"
    pip_install "$torch"
fi
# Whatever is installed later must leave this torch in place.
constraint=$(mktemp)
trap 'rm -f "$constraint"' EXIT
"$python" -c 'import torch; print("torch==" + torch.__version__.split("+")[0])' >"$constraint"

if ! has mmcv.ops; then
    say "building $mmcv from source (5 to 12 minutes on two cores; seconds where a wheel is at hand)"
    pip_install -c "$constraint" numpy setuptools wheel ninja psutil
    # Python's own flags add -g, which doubles the time and makes a library of 90 MB.
    CFLAGS=-g0 pip_install -c "$constraint" --no-build-isolation "$mmcv"
fi

say "installing this package and what it needs (a minute)"
pip_install -c "$constraint" -e '.[detection,segmentation,mim,test]'
printf '%s' "$wanted" >"$stamp"
say "ready: $python"
