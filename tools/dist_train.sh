#!/usr/bin/env bash
# Train with several processes on this node; with RESTARTS=N, if one dies, all are restarted from
# the newest checkpoint, up to N times.
#
# Usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT= RESTARTS=] tools/dist_train.sh CONFIG GPUS [ARGS...]
# Example: bash tools/dist_train.sh configs/detection/NAME.py 8 --amp
#
# One node takes a free port, so that jobs do not meet; PORT names one. For several, start it on
# each with NNODES, its NODE_RANK and node 0's MASTER_ADDR, in a folder that all of them see.
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
# What a stopped run names to go on.
variables=()
for name in NNODES NODE_RANK MASTER_ADDR PORT RESTARTS; do
    [ -z "${!name:-}" ] || variables+=("$name=${!name}")
done
CONVNEXTV2_COMMAND=$(printf '%q ' env "${variables[@]}" bash "$0" "$@")
export CONVNEXTV2_COMMAND
config=$1 gpus=$2
shift 2
address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
if [ "${NNODES:-1}" = 1 ] && [ -z "${PORT:-}" ]; then
    meet=(--standalone --local-addr=127.0.0.1)
elif [ "${RESTARTS:-0}" = 0 ]; then
    meet=(--node-rank="${NODE_RANK:-0}" --master-addr="$address" --master-port="$port")
else
    meet=(--rdzv-backend=c10d --rdzv-endpoint="$address:$port")
fi
if [ "${RESTARTS:-0}" != 0 ]; then
    # The processes must meet in a new store: in the shared one they would find the addresses of
    # the dead, and wait for them.
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
    meet+=(--max-restarts="$RESTARTS")
    # Where a user names a checkpoint, every restart begins there.
    [[ " $* " = *" --resume"* ]] || set -- "$@" --resume
fi
exec "${PYTHON:-python}" -m convnextv2.engine.torchrun \
    --nnodes="${NNODES:-1}" --nproc-per-node="$gpus" "${meet[@]}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
