#!/bin/bash
# A Ray cluster over four nodes of a SLURM job. Videos are handed out as workers become free, so that none waits for the
# shard with the longest videos.
#
#   sbatch slurm-ray.sh
#
# Change: nodes, cores and GPUs of each, the partition's own options, the paths and the words.
#SBATCH --job-name=ovvis-ray
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-node=4
#SBATCH --mem=64G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=ovvis-ray-%j.log

set -euo pipefail
export OVVIS_CACHE="${SCRATCH:-$HOME}/ovvis-cache" RAY_USAGE_STATS_ENABLED=0
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
port=$((20000 + SLURM_JOB_ID % 20000))
resources=(--num-cpus "$SLURM_CPUS_PER_TASK" --num-gpus "${SLURM_GPUS_ON_NODE:-0}" --temp-dir "/tmp/ray-$SLURM_JOB_ID")

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --port "$port" --include-dashboard=false --block "${resources[@]}" &
until ray status --address "$head:$port" >/dev/null 2>&1; do sleep 2; done
others=$((SLURM_JOB_NUM_NODES - 1))
if [ "$others" -gt 0 ]; then # workers are hired as these come
    srun --nodes="$others" --ntasks="$others" --exclude="$head" \
        ray start --address "$head:$port" --block "${resources[@]:0:4}" &
fi

ovvis segment @videos.txt --labels "dog, cat" --output results --no-video --ray "$head:$port"
