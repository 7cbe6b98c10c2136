"""Handing tasks out to actors of a Ray cluster whose workers and machines are killed."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

import workmen  # noqa: E402
from ray_cluster import NODE, small_cluster, wait_for  # noqa: E402

from ovvis.cluster.crew import Crew  # noqa: E402
from ovvis.cluster.ray_hands import RayHands  # noqa: E402
from ovvis.cluster.work import Outcome  # noqa: E402
from ovvis.errors import InputError  # noqa: E402


@pytest.fixture(scope="module")
def cluster():
    ray.cloudpickle.register_pickle_by_value(workmen)
    with small_cluster(3) as cluster:
        yield cluster


def run(tmp_path: Path, tasks, **settings) -> tuple[Crew, list[Outcome]]:
    with RayHands("auto", partial(workmen.Writer, tmp_path)) as hands:
        crew = Crew(hands, agree=lambda *_: None, say=print, tidy=workmen.Writer(tmp_path).tidy, **settings)
        return crew, list(crew.run(tasks))


def test_workers_that_die_lose_their_task_alone(cluster, tmp_path) -> None:
    odd = {"v3": "kill once", "v5": "kill", "v7": "raise"}
    crew, outcomes = run(tmp_path, [(f"v{i}", odd.get(f"v{i}", "")) for i in range(10)])
    found = {outcome.task[0]: outcome for outcome in outcomes}
    assert len(outcomes) == len(found) == 10
    good = {name for name, outcome in found.items() if outcome.problem is None}
    assert good == {f"v{i}" for i in range(10)} - {"v5", "v7"}
    assert all((tmp_path / name).read_text() == name == found[name].answer for name in good)
    assert found["v5"].problem == "3 workers died at it (its process died)" and (tmp_path / "v5.tidy").exists()
    assert found["v7"].problem == "KeyError: 'v7'"
    assert crew.lost == 4 and sum(fare.lost for fare in crew.fares.values()) == 4
    given = [path.read_text() for path in tmp_path.glob("begun-*")]
    assert given.count("None") == 1 and set(given) == {"None", "words"}  # made once for all


def test_a_machine_that_goes_and_one_that_comes(cluster, tmp_path) -> None:
    node = cluster.add_node(**NODE)
    with RayHands("auto", partial(workmen.Writer, tmp_path)) as hands:
        wait_for(lambda: hands.room() == 4)
        crew = Crew(hands, agree=lambda *_: None, say=print)
        done = 0
        for _ in crew.run([(f"v{i}", "slow") for i in range(30)]):
            done += 1
            if done == 6:
                wait_for(lambda: len(crew.busy) + len(crew.loading) >= 1)
                cluster.remove_node(node, allow_graceful=False)
                cluster.add_node(**NODE)
    assert done == 30 and len(list(tmp_path.glob("v*[0-9]"))) == 30


def test_a_machine_that_does_not_see_the_folder(cluster, tmp_path) -> None:
    sees = [tmp_path, tmp_path / "results" / ".seen-by-all.partial"]
    with (
        RayHands("auto", partial(workmen.Writer, tmp_path), sees=sees, appears=0.0) as hands,
        pytest.raises(InputError, match=f"does not see {tmp_path}/results: videos and results must lie"),
    ):
        list(Crew(hands, agree=lambda *_: None, say=print).run([("v0", "")]))
    assert list(tmp_path.iterdir()) == []


def test_a_dataset_of_ray_data_and_what_is_no_list(cluster, tmp_path) -> None:
    from ovvis.cluster.videos import _listed

    table = ray.data.from_items([{"path": f"/films/{i}.mp4", "seconds": 60 * i} for i in range(3)])
    found = _listed(table, "path", tmp_path / "list.txt")
    assert sorted(found) == ["/films/0.mp4", "/films/1.mp4", "/films/2.mp4"]
    assert list(_listed(["s3://films/a.mp4", Path("/b.mp4")], "", tmp_path / "list.txt")) == [
        "s3://films/a.mp4",
        "/b.mp4",
    ]
    with pytest.raises(InputError, match="column 'video': the dataset has path, seconds"):
        _listed(table, "video", tmp_path / "list.txt")
