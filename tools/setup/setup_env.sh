#!/usr/bin/env bash
# Makes PYTHON an environment in which the whole project runs. Every step first looks whether it
# is still to be done, so that an interrupted setup goes on where it was, and a finished one costs
# a second. `make demo` and `make test` call it.
#
# Usage: tools/setup/setup_env.sh [PYTHON] [TORCH] [PARTS]
#   PYTHON  .venv/bin/python (default) or another path of that form: the environment is created.
#           Any other: used as it is; packages are added to it, and none that it has is replaced.
#   TORCH   the requirement installed where there is no torch yet.
#   PARTS   detection,segmentation,mim,test (default), or fewer.
# FAMILY=openmmlab takes mmengine, mmcv, mmdet and mmseg of OpenMMLab, FAMILY=onedl those of OneDL;
# without it, the family that PYTHON has, or else OneDL's. PIP_FIND_LINKS may name a folder with
# a wheel of mmcv, which spares its build.
set -euo pipefail
cd "$(dirname "$0")/../.."

python=${1:-.venv/bin/python}
torch=${2:-torch==2.13.0}
parts=${3:-detection,segmentation,mim,test}

say() { printf '\033[1m[setup]\033[0m %s\n' "$*"; }
stop() { printf '%s\n' "$@" >&2; exit 1; }
has() { "$python" -c "import $1" >/dev/null 2>&1; }
pip_install() { "$python" -m pip install --quiet --disable-pip-version-check "$@"; }
# What is installed must stay: each package at its version, without the local part (+cpu).
keep_installed() {
    "$python" -m pip list --format=freeze --disable-pip-version-check 2>/dev/null |
        sed -n '/^convnextv2-dense==/d; s/^\([^=]*==[^+]*\).*/\1/p' >"$constraint"
}

created=
if [[ "$python" == */bin/python && "$python" == .venv* ]] &&
    ! "$python" -m pip --version >/dev/null 2>&1; then
    base=$(command -v python3.11 || command -v python3 || true)
    [ -n "$base" ] || stop "python3 is not on the PATH; 3.10 or newer is needed"
    "$base" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
        stop "$base is $("$base" --version); 3.10 or newer is needed"
    options=()
    if "$base" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        say "using the torch with CUDA that $base already has"
        options=(--system-site-packages)
    fi
    say "creating ${python%/bin/python} with $("$base" --version) (seconds)"
    "$base" -m venv --clear "${options[@]}" "${python%/bin/python}"
    created=yes
fi
command -v "$python" >/dev/null || stop "$python: no such Python"

# Not through the package, which cannot be imported before its libraries are there.
family=${FAMILY:-$(PYTHONPATH=convnextv2 "$python" -c 'import environment; print(environment.find_family())')}
case $family in
    onedl) mmcv=onedl-mmcv==2.3.6 setuptools='setuptools>=80' ;; # builds against the torch above
    openmmlab) mmcv=mmcv==2.1.0 setuptools='setuptools>=77,<81' ;;
    *) stop "FAMILY is onedl or openmmlab, not $family" ;;
esac

# Nothing to do if the last complete setup was of this very definition.
stamp=$("$python" -c 'import sys; print(sys.prefix)')/.convnextv2-dense-setup
wanted=$(cat pyproject.toml tools/setup/setup_env.sh | cksum; pwd; echo "$family $parts")
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then exit 0; fi

constraint=$(mktemp) log=$(mktemp)
trap 'rm -f "$constraint" "$log"' EXIT
if [ -n "$created" ]; then pip_install --upgrade "$setuptools" wheel; fi
keep_installed
if ! has torch; then
    if command -v nvidia-smi >/dev/null 2>&1; then torch="torch>=2.5"; fi
    say "installing $torch (a minute or two)"
    pip_install -c "$constraint" "$torch"
    keep_installed
fi

say "installing this package and mmengine (seconds)"
pip_install -c "$constraint" -e ".[$family]"
keep_installed

if [[ "$parts" == *detection* || "$parts" == *segmentation* ]] && ! has mmcv.ops; then
    say "$mmcv: from a wheel (seconds), or built (5 to 12 minutes on two cores)"
    pip_install -c "$constraint" setuptools wheel ninja psutil
    # An mmcv that is here has no operators: replace it, and take none of that kind from the cache.
    sed -i '/^\(onedl-\)\?mmcv==/d' "$constraint"
    # Python's own flags add -g, which doubles the time and makes a library of 90 MB.
    if ! MMCV_WITH_OPS=1 CFLAGS=-g0 pip_install -c "$constraint" --no-build-isolation \
        --no-cache-dir --force-reinstall --no-deps "$mmcv" >"$log" 2>&1; then
        tail -30 "$log" >&2
        missing=()
        command -v "${CXX:-c++}" >/dev/null || missing+=("a C++ compiler (Debian: g++)")
        "$python" -c 'import pathlib, sys, sysconfig
sys.exit(not pathlib.Path(sysconfig.get_path("include"), "Python.h").is_file())' ||
            missing+=("Python.h (Debian: python3-dev)")
        if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
            command -v nvcc >/dev/null || missing+=("nvcc, of the CUDA that torch was built with")
        fi
        stop "$mmcv could not be built. Missing here: ${missing[*]:-nothing known; see above}." \
            "Where nothing can be built: PIP_FIND_LINKS=FOLDER with a wheel made elsewhere for this" \
            "Python and torch. Pre-training needs no mmcv: $0 $python '$torch' mim"
    fi
    pip_install -c "$constraint" "$mmcv" # and what it needs
    has mmcv.ops || stop "$mmcv was installed, but without operators: $("$python" -c 'import mmcv.ops' 2>&1 | tail -1)"
    keep_installed
fi

say "installing what else it needs (a minute)"
extras=$family
for part in ${parts//,/ }; do
    if [ "$part" = test ]; then extras+=,test; else extras+=,$family-$part; fi
done
pip_install -c "$constraint" -e ".[$extras]"
printf '%s' "$wanted" >"$stamp"
say "ready: $python"
