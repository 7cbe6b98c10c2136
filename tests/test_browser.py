"""The browser that other tests use: what they lean on."""

from browser import complaints, dark, sized, wait


def open_text(browser, tmp_path, body):
    page = tmp_path / "page.html"
    page.write_text(f"<!doctype html><meta charset=utf-8><title>x</title>{body}", encoding="utf-8")
    browser.get(page.as_uri())


def test_size_and_darkness_are_what_was_asked(browser, tmp_path):
    open_text(browser, tmp_path, "<p>hello")
    seen = "return [innerWidth, innerHeight, matchMedia('(prefers-color-scheme: dark)').matches]"
    assert browser.execute_script(seen) == [1280, 900, False]
    sized(browser, 390, 844)
    dark(browser)
    assert browser.execute_script(seen) == [390, 844, True]


def test_what_a_page_complains_of_is_heard(browser, tmp_path):
    open_text(
        browser, tmp_path, "<script>setTimeout(() => { document.title = 'thrown'; throw Error('oh') }, 0)</script>"
    )
    wait(browser, "document.title == 'thrown'")
    assert any("oh" in line for line in complaints(browser))
    assert complaints(browser) == []


def test_two_visitors_share_nothing(browsers, tmp_path):
    one, two = browsers(), browsers()
    for visitor in (one, two):
        open_text(visitor, tmp_path, "<p>hello")
    one.execute_script("localStorage.setItem('a', '1')")
    assert one.execute_script("return localStorage.getItem('a')") == "1"
    assert two.execute_script("return localStorage.getItem('a')") is None
