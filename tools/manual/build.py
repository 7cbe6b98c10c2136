"""Make the documentation's site: `python tools/manual/build.py`, into `build/manual/site`, or below a folder given.

The pages of the repository and those that are made from the program (command line, Python, files) go into one folder,
of which zensical makes the site. A warning is an error.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import manual_commands
import manual_files
import manual_names
from manual_pages import ROOT, BrokenLinksError, followed, pages

FOLDER = ROOT / "build" / "manual"


def stage(folder: Path) -> None:
    """Write all pages, and the pictures that they show, into a new folder.

    Raises:
        BrokenLinksError: links that lead nowhere, of all pages.
    """
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("*.md", "*.ipynb"))
    shutil.copy(Path(__file__).with_name("site.css"), folder)
    makers = {"command_line.md": manual_commands, "python.md": manual_names, "files.md": manual_files}
    made = {name: maker.page() for name, maker in makers.items()}
    broken = []
    for path, name in pages().items():
        try:
            made[name] = followed(path, (ROOT / path).read_text(encoding="utf-8"))
        except BrokenLinksError as error:
            broken.append(str(error))
    if broken:
        raise BrokenLinksError("\n".join(broken))
    for name, text in made.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def main(folder: Path) -> int:
    """Make the site in `folder/site` and return the exit code."""
    try:
        stage(folder / "pages")
    except BrokenLinksError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(folder / "site", ignore_errors=True)
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8").replace('"build/manual/', '"')
    (folder / "zensical.toml").write_text(settings, encoding="utf-8")
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "--config-file", "zensical.toml"]
    return subprocess.run(command, cwd=folder, env=os.environ | {"NO_COLOR": "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER))
