#!/bin/bash
# Eight tasks of an array, each a shard of the videos; no Ray. One that is preempted comes again and goes on.
#
#   sbatch slurm-shards.sh
#
# Change: the array's end (the shards follow it), the partition's own options, the paths and the words.
#SBATCH --job-name=ovvis
#SBATCH --array=1-8
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --gpus-per-task=1
#SBATCH --mem=16G
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=ovvis-%A-%a.log
#SBATCH --signal=B:TERM@60

set -euo pipefail
export OVVIS_CACHE="${SCRATCH:-$HOME}/ovvis-cache"
# exec: the signal before the time is over reaches the command, which leaves nothing half written.
exec ovvis segment @videos.txt --labels "dog, cat" --output results --no-video \
    --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT"
