#!/usr/bin/env bash
# Train with several processes on this node; if one dies, all are restarted from the newest
# checkpoint, up to RESTARTS times.
#
# Usage: [NNODES= NODE_RANK= MASTER_ADDR= PORT= RESTARTS=] tools/dist_train.sh CONFIG GPUS [ARGS...]
# Example: bash tools/dist_train.sh configs/detection/NAME.py 8 --amp
set -euo pipefail
[ $# -ge 2 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
config=$1 gpus=$2
shift 2
address=${MASTER_ADDR:-127.0.0.1} port=${PORT:-29500}
meet=(--node-rank="${NODE_RANK:-0}" --master-addr="$address" --master-port="$port")
if [ "${RESTARTS:-0}" != 0 ]; then
    # A restart goes on from the newest checkpoint. The processes must meet in a new store: in the
    # shared one they would find the addresses of the dead, and wait for them.
    set -- "$@" --resume
    meet=(--rdzv-backend=c10d --rdzv-endpoint="$address:$port" --max-restarts="$RESTARTS")
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
fi
exec "${PYTHON:-python}" -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --nproc-per-node="$gpus" "${meet[@]}" \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
