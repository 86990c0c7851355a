"""The report in a browser, from a file: what a reader does with it, by mouse and by keyboard."""

from __future__ import annotations

import re

import pytest

VIEWS = {
    "overview": "",
    "list": "#/questions",
    "question": "#/question/carry-over",
    "trials": "#/question/flaky",
    "error": "#/question/no-answer",
    "timeline": "#/timeline",
}


def texts(page, selector):
    return [text.strip() for text in page.locator(selector).all_inner_texts()]


def found(page):
    return page.locator(".found span").inner_text()


def rows(page):
    return [row.split("\n")[0] for row in texts(page, ".list tbody th a")]


def focused(page):
    return page.evaluate("document.activeElement.textContent.trim()")


# ---- Overview --------------------------------------------------------------------------------


def test_the_overview_tells_the_verdict_first_and_its_counts_lead_to_their_questions(report, visit, expect):
    page = visit(report).open()

    assert page.locator("h1:visible").inner_text() == "Regressed"
    assert texts(page, ".reasons li") == ["groundedness fell by 0.12 (-0.20 to -0.04)", "1 question broke"]
    assert texts(page, ".states li") == ["86 passed", "46 failed", "2 error", "1 not run"]
    links = page.locator("section[data-view=overview] a[href^='#/questions?']")
    targets = [(link.inner_text(), link.get_attribute("href")) for link in links.all()]
    counts = {text: href for text, href in targets if text.split()[0].isdecimal()}
    assert len(counts) >= 8
    for text, address in counts.items():
        page.evaluate("address => { location.hash = address }", address)
        expect(page.locator(".found span")).to_have_text(re.compile(rf"^{text.split()[0]} "))


def test_the_overview_can_be_read_without_scripts(report, visit):
    start = visit(report, java_script_enabled=False)
    start.page.goto(start.url)

    assert start.page.locator("h1", has_text="Regressed").is_visible()
    assert start.page.locator(".card").count() == 6, "five metrics of one file, one of questions without a file"
    assert start.page.locator("noscript").first.is_visible()


# ---- The list --------------------------------------------------------------------------------


def test_filters_narrow_the_list_tell_how_far_and_stay_in_the_address(report, visit, expect):
    page = visit(report).open("#/questions")
    assert found(page) == "135 questions"

    page.get_by_role("checkbox", name="failed").check(force=True)
    assert found(page) == "46 of 135 questions"
    page.get_by_label("Tag", exact=True).select_option("leave")
    assert found(page) == "2 of 135 questions"
    page.get_by_label("Metric", exact=True).select_option("groundedness")
    page.get_by_label("Metric's outcome").select_option("failed")
    page.get_by_label("Text in id").fill("CARRY annual")
    expect(page.locator(".found span")).to_have_text("No question matches")
    page.get_by_label("Text in id").fill("CARRY over")
    expect(page).to_have_url(re.compile(r"q=CARRY\+over"))

    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert found(page) == "2 of 135 questions"
    assert page.get_by_label("Tag", exact=True).input_value() == "leave"
    assert page.get_by_role("checkbox", name="failed").is_checked()
    page.get_by_role("button", name="Show all").click()
    assert found(page) == "135 questions"
    assert page.evaluate("location.hash") == "#/questions"


def test_columns_sort_both_ways_and_say_so(report, visit):
    page = visit(report).open("#/questions?tag=ships&state=failed")
    heading = page.get_by_role("columnheader", name="groundedness")

    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [text.split()[0] for text in texts(page, ".list tbody td:nth-child(4)")]
    values = [float(value.strip("▾ ")) for value in values if value.strip("▾ ")]
    assert values == sorted(values)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert "sort=-metric" in page.evaluate("location.hash")
    assert focused(page) == "groundedness"
    assert page.locator("th[aria-sort]").count() == 1


def test_broken_questions_come_first_and_rows_are_added_as_they_are_scrolled_to(report, visit, expect):
    page = visit(report).open("#/questions")

    assert rows(page)[0] == "How many days of leave can I carry over?"
    assert page.locator(".list tbody tr").count() == 100
    assert page.locator(".list").get_attribute("aria-rowcount") == "136"
    page.get_by_role("button", name="Show 35 more").focus()
    page.keyboard.press("Enter")
    expect(page.locator(".list tbody tr")).to_have_count(135)


def test_the_back_button_returns_to_the_same_place_in_the_list(report, visit, expect):
    page = visit(report).open("#/questions?state=passed&sort=question")
    link = page.get_by_role("link", name="Which crates does ship number 95 carry?")
    link.scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 500

    link.click()
    page.wait_for_selector("h1:visible >> text=number 95")
    assert page.title() == "plain-095 · ragcheck"
    assert focused(page) == "Which crates does ship number 95 carry?"
    page.get_by_role("link", name="Next").click()
    page.wait_for_selector("h1:visible >> text=number 97")
    page.go_back()
    page.wait_for_selector("h1:visible >> text=number 95")
    page.go_back()
    page.wait_for_selector("h1:visible >> text=Questions")

    assert found(page) == "86 of 135 questions"
    assert focused(page) == "Which crates does ship number 95 carry?"
    assert abs(page.evaluate("scrollY") - before) < 5
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("#questions-heading")).to_be_visible()
    assert focused(page) == "Which crates does ship number 95 carry?"
    assert abs(page.evaluate("scrollY") - before) < 5


# ---- A question ------------------------------------------------------------------------------


def test_a_question_tells_whose_fault_it_is_and_shows_the_evidence(report, visit):
    page = visit(report).open("#/question/carry-over")
    shown = page.locator("#question")

    assert texts(shown, ".diagnosis p") == [
        "Generator: the gold was retrieved, but 2 sentences of the answer are not supported by its contexts.",
        "groundedness 0.60 < 0.80, faithfulness 0.50 < 0.70",
    ]
    assert texts(shown, "mark.doubted") == ["They expire on 1 April", ".", "Ask Bob."]
    assert texts(shown, ".notes li") == [
        "rejected (faithfulness): the contexts say 31 March",
        "not supported (groundedness): not in the contexts: 1 April",
        "not supported (groundedness): not in the contexts: Bob",
    ]
    assert texts(shown, ".contexts .rank") == ["#1", "#2", "#3"]
    golden = shown.locator(".contexts > .is-gold")
    assert golden.locator(".rank").inner_text() == "#2"
    assert golden.locator("mark.gold").first.inner_text().startswith("Up to five days of leave can be carried over")
    assert texts(shown, ".metrics .name")[:3] == ["groundedness", "faithfulness", "hit_rate"]
    assert "baseline 1.00, -0.40, asked again 0.60, 0.50, broke" in texts(shown, ".metrics .against")
    assert shown.get_by_text("pytest --ragcheck -k '[carry-over]'").is_visible()
    assert texts(shown, ".side-by-side del") == ["31 March."]
    assert texts(shown, ".side-by-side ins") == ["1 April. Ask Bob."]
    assert texts(shown, ".rankings .how") == ["to rank 2", "came", "went", "from rank 1"]
    shown.get_by_text("Text, and what changed in it").click()
    assert texts(shown, ".rankings del, .rankings ins") == ["24", "25"]
    assert shown.locator(".bars .call").count() == 6
    shown.locator("a.note").first.click()
    assert focused(page).startswith("rejected")
    assert page.evaluate("location.hash") == "#/question/carry-over"


def test_trials_stand_side_by_side(report, visit):
    page = visit(report).open("#/question/flaky")
    table = page.get_by_role("region", name="Trials")

    assert texts(table, "tbody .badge") == ["passed", "failed", "passed"]
    assert page.get_by_text("2 of 3 passed").is_visible()


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("no-answer", "server error 500"),
        ("no-judge", "malformed judge output"),
        ("no-money", "the budget of $1.00 is spent"),
    ],
)
def test_what_could_not_be_measured_says_why(report, visit, key, told):
    page = visit(report).open(f"#/question/{key}")

    assert told in page.locator("#question").inner_text()


def test_an_unknown_question_is_said_to_be_unknown(report, visit):
    page = visit(report).open("#/question/%E0%A4%A")

    assert page.locator("h1:visible").inner_text() == "No such question"


# ---- The timeline ----------------------------------------------------------------------------


def test_the_timeline_sets_both_runs_on_one_axis_and_each_question_on_another(report, visit):
    page = visit(report).open("#/timeline")

    assert [text.split(",")[0] for text in texts(page, "figcaption")] == ["Concurrent", "Sequential"]
    assert page.get_by_role("img", name="Calls on the wire: at most").count() == 2
    assert page.locator("#times tbody tr").count() == 100
    page.get_by_label("Order").last.select_option("longest")
    lengths = [float(text.split()[0]) for text in texts(page, "#times tbody td.number")]
    assert lengths == sorted(lengths, reverse=True)
    boxes = page.locator("#times .track").first.evaluate(
        "track => [...track.children].map(piece => [piece.getBoundingClientRect().left, piece.getBoundingClientRect().right])"
    )
    track = page.locator("#times .track").first.bounding_box()
    assert boxes
    assert all(track["x"] - 1 <= left <= right <= track["x"] + track["width"] + 1 for left, right in boxes)


# ---- Everybody can read it -------------------------------------------------------------------


def test_the_keyboard_alone_reaches_everything(report, visit, expect):
    page = visit(report).open()

    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.get_by_role("link", name="Questions 135").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:visible >> text=Questions")
    assert focused(page) == "Questions"
    page.keyboard.press("Tab")
    page.keyboard.type("carry over")
    expect(page.locator(".found span")).to_have_text("2 of 135 questions")
    for _ in range(30):
        page.keyboard.press("Tab")
        if focused(page).startswith("How many days"):
            break
    page.keyboard.press("Enter")
    page.wait_for_selector("h1:visible >> text=How many days")
    assert focused(page) == "How many days of leave can I carry over?"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open") is True


def test_dark_follows_the_system_until_it_is_chosen_otherwise(report, visit):
    page = visit(report, color_scheme="dark").open()
    background = "getComputedStyle(document.documentElement).backgroundColor"

    dark = page.evaluate(background)
    page.get_by_role("button", name="Switch to light colours").click()
    light = page.evaluate(background)
    assert sum(map(int, dark[4:-1].split(","))) < 150
    assert sum(map(int, light[4:-1].split(","))) > 600
    page.reload()
    assert page.evaluate(background) == light


@pytest.mark.parametrize("address", VIEWS.values(), ids=VIEWS)
def test_a_narrow_screen_needs_no_sideways_scrolling(report, visit, address):
    page = visit(report, viewport={"width": 340, "height": 640}).open(address)

    assert page.evaluate("document.documentElement.scrollWidth") == 340


def test_paper_holds_all_rows_and_no_controls(report, visit):
    page = visit(report, color_scheme="dark").open("#/questions")
    on_paper = page.pdf()
    page.emulate_media(media="print")

    assert on_paper.startswith(b"%PDF")
    assert page.locator(".list tbody tr").count() == 135
    assert not page.locator(".filters").first.is_visible()
    assert not page.locator(".top nav").is_visible()
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(255, 255, 255)"


def test_nothing_moves_for_those_who_asked_for_that(report, visit):
    still = visit(report, reduced_motion="reduce").open()

    durations = still.evaluate(
        "[...document.querySelectorAll('*')].map(one => getComputedStyle(one).transitionDuration)"
    )
    assert set(durations) == {"0s"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_obstacle_for_assistive_technology(report, visit, axe, scheme):
    start = visit(report, color_scheme=scheme)
    # Colours differ between the schemes, structure does not; of a hundred rows alike some will do.
    options = {"resultTypes": ["violations"]} | ({} if scheme == "light" else {"runOnly": ["color-contrast"]})
    context = {"exclude": [[".list tbody tr:nth-child(n + 8)"], ["#times tbody tr:nth-child(n + 8)"]]}
    for name, address in VIEWS.items():
        if scheme == "dark" and name in {"trials", "error"}:
            continue  # no colour that is not in the others too
        page = start.open(address)
        violations = axe.run(page, context=context, options=options).response["violations"]
        told = [
            f"{name}: {one['id']} {node['target']} {node['any'][:1] and node['any'][0]['message']}"
            for one in violations
            if one["impact"] in {"serious", "critical"}
            for node in one["nodes"]
        ]
        assert not told


def test_the_policy_stops_what_the_scripts_would_never_do(report, visit):
    start = visit(report)
    page = start.open()

    refused = page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return null } catch (problem) { return problem.name } }"
    )
    page.evaluate(
        "() => { const one = new Image(); one.src = 'https://attacker.invalid/x.png'; document.body.append(one) }"
    )
    page.evaluate(
        "() => { const one = document.createElement('p'); one.setAttribute('style', 'color: red'); document.body.append(one) }"
    )
    page.wait_for_timeout(50)

    assert refused == "TypeError"
    assert len(start.troubles) >= 3
    assert all("Content Security Policy" in trouble or "TrustedHTML" in trouble for trouble in start.troubles)
    assert start.refused == [("https://attacker.invalid/x.png", "csp")]
    start.troubles.clear()
    start.requests.clear()
