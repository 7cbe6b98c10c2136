"""The documentation's site: its links lead somewhere, its made pages hold every verb and name, and it builds."""

import re
import subprocess
import sys
import threading
import tomllib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import ovvis
from browser import complaints, dark, sized, wait

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools" / "manual"))

import manual_commands  # noqa: E402
import manual_files  # noqa: E402
import manual_names  # noqa: E402
import manual_pages  # noqa: E402

CONFIG = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
MADE = {"command_line.md", "python.md", "files.md"}


def named(entries):
    """Every page that the navigation names."""
    for entry in entries:
        for place in entry.values():
            yield from [place] if isinstance(place, str) else named(place)


@pytest.mark.parametrize("path", manual_pages.pages())
def test_links_lead_somewhere(path):
    manual_pages.followed(path, (ROOT / path).read_text(encoding="utf-8"))


def test_every_page_stands_once_in_the_navigation():
    pages = [*named(CONFIG["nav"])]
    assert sorted(pages) == sorted({*manual_pages.pages().values(), *MADE})


@pytest.mark.parametrize("path", manual_pages.pages())
def test_lists_begin_after_an_empty_line(path):
    """Else the site runs them into the paragraph above; GitHub does not."""
    text = manual_pages.FENCE.sub("", (ROOT / path).read_text(encoding="utf-8"))
    assert re.findall(r"^(?! *(?:[-*] |\d+\. |  ))\S.*\n *(?:[-*]|\d+\.) .*", text, re.MULTILINE) == []


@pytest.fixture
def small(tmp_path):
    for name, text in (
        ("README.md", "# It is\n[a](docs/a.md#on-it) ![p](docs/p.png) [b](src/b.py) [`x[1]`](docs/a.md) [c](docs)\n"),
        ("docs/a.md", "# A\n## On it\n## On it\n"),
        ("docs/p.png", ""),
        ("src/b.py", ""),
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path


def test_links_are_followed(small):
    text = (small / "README.md").read_text(encoding="utf-8")
    there = f"{manual_pages.REPOSITORY}/blob/main/src/b.py"
    tree = f"{manual_pages.REPOSITORY}/tree/main/docs"
    assert manual_pages.followed("README.md", text, small) == (
        f"# It is\n[a](a.md#on-it) ![p](p.png) [b]({there}) [`x[1]`](a.md) [c]({tree})\n"
    )
    assert manual_pages.followed("docs/a.md", "[r](../README.md#it-is) [s](#on-it-1)", small) == (
        "[r](index.md#it-is) [s](#on-it-1)"
    )


def test_bars_in_a_tables_code_are_bars(small):
    row = r"| `a \| b` | `c` | d \| e |"
    assert manual_pages.followed("docs/a.md", row, small) == r"| `a | b` | `c` | d \| e |"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b* [x]", r"a\_b\* \[x\]"),
        ("0<=x & `a_b<`", "0&lt;=x &amp; `a_b<`"),
    ],
)
def test_help_is_shown_as_it_is(text, shown):
    assert manual_commands.plain(text) == shown


@pytest.mark.parametrize(
    ("link", "why"),
    [
        ("nowhere.md", "leads nowhere"),
        ("a.md#there", "heading that is not there"),
        ("#on-it-2", "heading that is not there"),
        ("p.png#part", "heading that is not there"),
        ("../../outside.md", "leads nowhere"),
        ("htp://a.org", "no address"),
        ("https://a", "no address"),
    ],
)
def test_links_that_lead_nowhere(small, link, why):
    with pytest.raises(manual_pages.BrokenLinksError, match=why):
        manual_pages.followed("docs/a.md", f"`[code](is-no.md)` [a]({link})\n```\n[nor](this.md)\n```\n", small)


def test_the_command_line_page_has_every_verb_and_option():
    page = manual_commands.page()
    for _, name, command in manual_commands.verbs():
        part = page.split(f"### ovvis {name}\n")[1].split("\n### ")[0]
        context = command.make_context(name, [], resilient_parsing=True)
        shown = [record[0].strip() for p in command.params if (record := p.get_help_record(context))]
        assert [option for option in shown if f"`{option}`" not in part] == [], name
    assert "### ovvis models fetch\n" in page and "### ovvis import\n" in page


def test_the_python_page_has_every_public_name():
    page = manual_names.page()
    headings = re.findall(r"^### `ovvis\.(\w+)`$", page, re.MULTILINE)
    assert sorted(headings) == sorted({*ovvis.__all__} - {"__version__"})
    for member in ("VideoSegmenter.stream", "VideoResult.counts", "Track.mask"):
        assert f"#### `{member}`" in page
    assert "```pycon\n>>> " in page


def test_the_page_of_files_says_what_each_is_for():
    page = manual_files.page()
    told = re.findall(r"^- \[`([\w/]+\.py)`\]\(\S+\): \S", page, re.MULTILINE)
    files = {path.relative_to(manual_files.SOURCE).as_posix() for path in manual_files.SOURCE.rglob("*.py")}
    assert [name for name in files - {*told} if not name.endswith("__init__.py")] == []


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("zensical")
    folder = tmp_path_factory.mktemp("manual")
    made = subprocess.run(
        [sys.executable, str(ROOT / "tools/manual/build.py"), str(folder)], capture_output=True, text=True
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return folder / "site"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_asks_nobody_else(site):
    home = (site / "index.html").read_text(encoding="utf-8")
    fetched = re.findall(r"<(?:link|script|img)[^>]*(?:src|href)=[\"']?(https?://[^\"' >]+)", home)
    assert {address for address in fetched if not address.startswith(CONFIG["site_url"])} == set()
    assert "ovvis segment" in (site / "search.json").read_text(encoding="utf-8")


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *said):
        pass


@pytest.fixture
def address(site):
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_the_site_in_a_browser(address, browser):
    """Search finds a verb's option; a visitor who likes it dark gets it dark; a phone's page has its own width."""
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.get(f"{address}/")
    wait(browser, "document.readyState == 'complete' && document.body.dataset.mdColorScheme == 'default'")
    browser.find_element(By.CSS_SELECTOR, "body").send_keys(Keys.CONTROL, "k")
    shadows = "[...document.querySelectorAll('*')].map(e => e.shadowRoot).filter(Boolean)"
    wait(browser, f"{shadows}.some(root => root.activeElement?.tagName == 'INPUT')")
    browser.switch_to.active_element.send_keys("reconnect")
    wait(browser, f"{shadows}.some(root => root.textContent.includes('ovvis live'))")
    dark(browser)
    sized(browser, 390, 844)
    browser.get(f"{address}/datasets/")
    wait(browser, "document.readyState == 'complete' && document.body.dataset.mdColorScheme == 'slate'")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert complaints(browser) == []
