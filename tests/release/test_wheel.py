"""What a user gets: the wheel in an environment of its own, outside of the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

import ovvis

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
COMPARED = {"ovvis/weights/ov2seg-stickers.safetensors", "ovvis/weights/ovformer-stickers.safetensors"}

pytest.importorskip("hatchling")
pytest.importorskip("hatch_fancy_pypi_readme")


def run(command, folder):
    """Run a command as somebody who has no clone would; return what it printed."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build the wheel and the sdist, and the wheel of what is compared, from a copy: others may build, too."""
    home = tmp_path_factory.mktemp("built")
    source = home / "source"
    for name in ("src", "packages"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ROOT.iterdir():
        if file.suffix in (".md", ".toml", ".cff") or file.name in ("LICENSE", ".gitignore"):
            shutil.copy(file, source)
    run([sys.executable, "-m", "hatchling", "build", "-d", home / "dist"], source)
    run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", home / "dist"], source / "packages/comparison"
    )
    return {path.name.partition("-")[0] + path.suffix: path for path in (home / "dist").iterdir()}


def test_the_files(built):
    """All that lies in the source's folder, less what is in the other package; nothing else."""
    with zipfile.ZipFile(built["ovvis.whl"]) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    source = ROOT / "src"
    there = {str(path.relative_to(source).as_posix()) for path in source.rglob("*") if path.is_file()}
    wanted = {name for name in there if "__pycache__" not in name and not name.endswith(".pyc")}
    assert inside == wanted - COMPARED
    assert built["ovvis.whl"].stat().st_size < 30e6 and built["ovvis.gz"].stat().st_size < 30e6
    with tarfile.open(built["ovvis.gz"]) as sdist:
        sent = {name.partition("/")[2] for name in sdist.getnames()}
    assert {name.removeprefix("src/") for name in sent if name.startswith("src/")} == wanted - COMPARED
    asked = set(PROJECT["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"])
    assert {name for name in sent if not name.startswith("src/")} == {*asked, "PKG-INFO", ".gitignore"} - {"src/ovvis"}
    with zipfile.ZipFile(built["ovvis_comparison.whl"]) as wheel:
        weights = {name.replace("ovvis_comparison", "ovvis/weights") for name in wheel.namelist() if "safe" in name}
    assert weights == COMPARED


def test_the_page_on_pypi(built):
    """It renders, and every link and picture of it leads somewhere without the repository around it."""
    pytest.importorskip("twine")
    files = [str(built[name]) for name in ("ovvis.whl", "ovvis.gz", "ovvis_comparison.whl")]
    run([sys.executable, "-m", "twine", "check", "--strict", *files], ROOT)
    with zipfile.ZipFile(built["ovvis.whl"]) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("METADATA"))
        text = wheel.read(name).decode()
    links = [link.partition(")")[0] for link in text.split("](")[1:]]
    assert len(links) > 20 and all(link.startswith("https://") for link in links)
    assert "<img" not in text and "src=" not in text  # of HTML nothing is made absolute
    version = f"/v{ovvis.__version__}/"
    inside = [link.partition(version)[2].partition("#")[0] for link in links if version in link]
    assert len(inside) > 20 and [name for name in inside if not (ROOT / name).exists()] == []
    pictures = [link for link in links if link.endswith((".webp", ".png"))]
    assert pictures and all("raw.githubusercontent.com" in link and version in link for link in pictures)
    for field in ("Keywords:", "Project-URL: Repository,", "License-Expression: Apache-2.0", "Provides-Extra: train"):
        assert field in text, field


@pytest.fixture(scope="module")
def user(built, tmp_path_factory):
    """Return the programs of an environment that has the wheel, and the libraries of the one that runs the tests."""
    home = tmp_path_factory.mktemp("user")
    venv.create(home / "env", with_pip=False)
    paths = sysconfig.get_paths(vars={"base": str(home / "env"), "platbase": str(home / "env")})
    # A line of a .pth is a folder alone: the .pth files in it, and so this repository, are not read.
    (Path(paths["purelib"]) / "libraries.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    python = Path(paths["scripts"]) / Path(sys.executable).name
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, built["ovvis.whl"]], home)
    return python, Path(paths["scripts"]) / "ovvis", home


@pytest.mark.slow
def test_the_demo_outside_the_repository(user):
    python, command, home = user
    where = run([python, "-c", "import ovvis; print(ovvis.__file__)"], home).strip()
    assert Path(where).is_relative_to(home)
    run([command, "demo", "--output", "out"], home)
    assert {path.name for path in (home / "out").iterdir()} == {"overlay.mp4", "tracks.json"}


def test_what_is_compared_comes_with_the_extra(user, built):
    python, command, home = user
    program = (
        "from ovvis.models.packaged import packaged_model as read; from ovvis.models.zoo import find_model as find"
    )
    read = [python, "-c", f"{program}; read(find('ovformer-stickers')); print('read')"]
    done = subprocess.run(read, cwd=home, env={}, capture_output=True, text=True, check=False)
    assert "pip install 'ovvis[comparison]'" in done.stderr
    assert "not installed: pip install 'ovvis[comparison]'" in run([command, "models"], home)
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, built["ovvis_comparison.whl"]], home)
    assert run(read, home) == "read\n"
