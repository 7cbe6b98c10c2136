"""Segment the videos that a dataset of Ray Data names: a table with a path or an address in each row.

python examples/cluster/ray_data.py videos.parquet s3://results/films
"""

import sys

import ray

from ovvis.cluster.videos import segment_videos


def main(table: str, output: str) -> None:
    """Segment what is not done yet, and print a line for each video."""
    ray.init()  # the cluster that this machine is part of, or one here
    videos = ray.data.read_parquet(table, columns=["path"])  # or read_csv, read_sql, ...; filter, sort, sample
    for done in segment_videos(videos, "dog, cat", output, column="path", short_edge=480):
        print(done.state, done.name, done.frames, done.instances, done.said)


if __name__ == "__main__":
    main(*sys.argv[1:])
