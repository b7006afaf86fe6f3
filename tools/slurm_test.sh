#!/usr/bin/env bash
# Evaluate under Slurm, one process a GPU, by `srun`.
#
# Usage: [GPUS= GPUS_PER_NODE= CPUS_PER_TASK= PORT= SRUN_ARGS=]
#            tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [ARGS...]
# Example: bash tools/slurm_test.sh PARTITION test configs/detection/NAME.py epoch_36.pth --out DIR
#
# The variables: as tools/slurm_train.sh.
set -euo pipefail
[ $# -ge 4 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
partition=$1 job=$2 config=$3 checkpoint=$4
shift 4
tasks=${GPUS:-8}
gpus_per_node=${GPUS_PER_NODE:-$((tasks < 8 ? tasks : 8))}
options=(--partition="$partition" --job-name="$job" --ntasks="$tasks")
if [ "$gpus_per_node" != 0 ]; then
    options+=(--gres=gpu:"$gpus_per_node" --ntasks-per-node="$gpus_per_node")
fi
export MASTER_PORT=${PORT:-$((20000 + RANDOM % 10000))}
# shellcheck disable=SC2086 # several arguments in one variable, as MM's users know it
exec srun "${options[@]}" --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 \
    ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u "$(dirname "$0")/test.py" "$config" "$checkpoint" --launcher slurm "$@"
