from ovvis.report.page import escape, table


def test_names_are_shown_and_do_nothing():
    name = "<script>\u202egod\x1b[2J"
    assert escape(name) == "&lt;script&gt;\\u202egod\\x1b[2J"
    assert "<script>" not in table(["name"], [[name]])
