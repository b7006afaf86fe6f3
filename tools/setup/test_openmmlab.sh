#!/usr/bin/env bash
# The fast tests of all that meets OpenMMLab's packages, and an end-to-end run of each task, with
# their own (mmengine 0.10.7, mmcv 2.1.0, mmdet 3.3.0, mmsegmentation 1.2.2), in an environment of
# its own, .venv-openmmlab. `make test-openmmlab` calls it. Where no wheel of mmcv 2.1.0 is found,
# it is built, 12 minutes on two cores.
#
# Usage: tools/setup/test_openmmlab.sh [TORCH]
set -euo pipefail
cd "$(dirname "$0")/../.."

python=.venv-openmmlab/bin/python
FAMILY=openmmlab bash tools/setup/setup_env.sh "$python" "${1:-torch==2.13.0}"

echo "== the fast tests with OpenMMLab's packages"
# Not of networks that are torch's alone, and are the same with either family.
OMP_NUM_THREADS=1 "$python" -m pytest -m 'not slow' -n 2 --dist loadfile \
    --ignore tests/pretrain/test_encoders.py --ignore tests/backbone
echo "== FCMAE, Mask R-CNN and UperNet end to end with OpenMMLab's packages"
"$python" -m pytest tests/tools/test_test.py -m slow -k \
    'pretraining_has_a_loss or predictions_are_drawn'
