#!/usr/bin/env bash
# Evaluate with several processes on this node.
#
# Usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT=] tools/dist_test.sh CONFIG CHECKPOINT GPUS [ARGS...]
# Example: bash tools/dist_test.sh configs/detection/NAME.py work_dirs/NAME/epoch_36.pth 8
#
# Nodes and ports: as tools/dist_train.sh.
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
config=$1 checkpoint=$2 gpus=$3
shift 3
meet=(--node-rank="${NODE_RANK:-0}" --master-addr="${MASTER_ADDR:-127.0.0.1}")
meet+=(--master-port="${PORT:-29500}")
if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    meet=(--standalone --local-addr=127.0.0.1)
fi
exec "${PYTHON:-python}" -m convnextv2.engine.torchrun \
    --nnodes="${NNODES:-1}" --nproc-per-node="$gpus" "${meet[@]}" \
    "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher pytorch "$@"
