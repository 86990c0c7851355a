"""Whatever a run holds, the report shows it, and runs, loads and breaks nothing."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

ELEMENTS = """() => ({
    foreign: [...document.querySelectorAll('img, iframe, object, embed, link:not([rel=icon]), form[action], textarea, base')].length,
    scripts: document.querySelectorAll('script').length,
    styles: document.querySelectorAll('style').length,
    handlers: [...document.querySelectorAll('*')].filter(one => [...one.attributes].some(({name}) => name.startsWith('on'))).length,
    links: [...document.querySelectorAll('a[href]')].filter(one => !one.getAttribute('href').startsWith('#')).length,
    title: document.title,
})"""


def check(page):
    seen = page.evaluate(ELEMENTS)
    assert seen.pop("title").endswith(" · ragcheck")
    assert seen == {"foreign": 0, "scripts": 2, "styles": 1, "handlers": 0, "links": 0}
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_no_text_of_a_run_becomes_anything_but_text(hostile_report, visit, expect):
    page = visit(hostile_report).open()
    for address in ("", "#/questions", "#/timeline"):
        page.evaluate("address => { location.hash = address }", address)
        page.wait_for_timeout(30)
        check(page)

    page.evaluate("location.hash = '#/questions'")
    page.wait_for_selector(".list tbody tr")
    links = page.locator(".list tbody th a").evaluate_all("links => links.map(link => link.getAttribute('href'))")
    assert len(set(links)) == len(links) == 22
    for link in links:
        page.evaluate("address => { location.hash = address }", link)
        expect(page.locator("#question h1")).to_be_visible()
        expect(page).to_have_title(re.compile(r"^(?!No such question)"))
        check(page)
        page.evaluate("document.querySelectorAll('#question details').forEach(one => { one.open = true })")
        page.mouse.move(300, 300)
        check(page)


def test_what_acts_on_a_screen_or_hides_is_shown(hostile_report, visit):
    page = visit(hostile_report).open("#/questions")
    shown = page.locator(".list").inner_text()

    for escape in ("\\x1b[31mred", "\\u202e", "\\u200b", "\\x00", "\\ud83d", "\\udc00"):
        assert escape in shown
    assert not set("\x00\x1b\u202e\u2066\u200b\ud83d\udc00") & set(page.content())
    assert "مرحبا بالعالم (1)" in shown
    assert "&lt;b&gt; &amp; &#60;script&#62;" in shown


def test_filters_take_hostile_names(hostile_report, visit, expect):
    page = visit(hostile_report).open("#/questions")
    tags = (
        page.get_by_label("Tag", exact=True)
        .locator("option")
        .evaluate_all("options => options.map(option => option.value)")
    )

    for tag in tags[1:]:
        page.get_by_label("Tag", exact=True).select_option(tag)
        expected = "19 of" if tag == "tag" else "1 of"
        expect(page.locator(".found span")).to_have_text(re.compile(f"^{expected}"))
        query = page.evaluate("location.hash").partition("?")[2]
        assert parse_qs(query)["tag"] == [tag]
    page.get_by_label("Text in id").fill("__proto__")
    check(page)


def test_an_answer_of_a_megabyte_is_cut_until_it_is_asked_for(hostile_report, visit):
    page = visit(hostile_report).open("#/question/long")
    length = "document.querySelector('#question .sheet .text').textContent.length"

    assert page.evaluate(length) == 20_000
    page.get_by_role("button", name="Show all 1,044,000 characters").click()
    assert page.evaluate(length) == 1_044_000
    check(page)
