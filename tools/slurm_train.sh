#!/usr/bin/env bash
# Train under Slurm, one process a GPU, by `srun`.
#
# Usage: [GPUS= GPUS_PER_NODE= CPUS_PER_TASK= PORT= SRUN_ARGS=]
#            tools/slurm_train.sh PARTITION JOB_NAME CONFIG [WORK_DIR] [ARGS...]
# Example: GPUS=16 bash tools/slurm_train.sh PARTITION mask-rcnn configs/detection/NAME.py --amp
#
# GPUS is 8 by default and GPUS_PER_NODE at most 8; GPUS_PER_NODE=0 asks for none and trains on the
# CPU. SRUN_ARGS is handed to srun (`--time=2-0 --quotatype=spot`).
set -euo pipefail
[ $# -ge 3 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
# What a stopped run names to go on.
variables=()
for name in GPUS GPUS_PER_NODE CPUS_PER_TASK PORT SRUN_ARGS; do
    [ -z "${!name:-}" ] || variables+=("$name=${!name}")
done
CONVNEXTV2_COMMAND=$(printf '%q ' env "${variables[@]}" bash "$0" "$@")
export CONVNEXTV2_COMMAND
partition=$1 job=$2 config=$3
shift 3
if [ $# -gt 0 ] && [[ $1 != -* ]]; then # mmdet's scripts have the work dir here
    set -- --work-dir "$1" "${@:2}"
fi
tasks=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((tasks < 8 ? tasks : 8))}
options=(--partition="$partition" --job-name="$job" --ntasks="$tasks")
if [ "$gpus_per_node" != 0 ]; then
    options+=(--gres=gpu:"$gpus_per_node" --ntasks-per-node="$gpus_per_node")
fi
# A port of its own, so that jobs on one machine do not meet.
export MASTER_PORT=${PORT:-$((20000 + RANDOM % 10000))}
# shellcheck disable=SC2086 # several arguments in one variable, as MM's users know it
exec srun "${options[@]}" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/train.py" "$config" --launcher slurm "$@"
