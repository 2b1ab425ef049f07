"""The page in headless Chromium: what it shows, how it is walked, and that nothing of a stranger's runs in it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from heatcli.reporting import write_report
from tests.reporting import made

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SWITCHES = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
EVIL = [
    '"><img src=x onerror=window.pwned=1>.png',
    "</script><script>window.pwned=1</script>.png",
    "<svg onload=window.pwned=1>.png",
    "javascript:window.pwned=1",
    "line\nbreak\u2028and \x1b[31mred.png",
    "\u202egnp.exe",
    os.fsdecode(b"caf\xe9.png"),
    "🐢 {{7*7}} &lt;b&gt;.png",
]
COUNT = 24
HIDDEN_FAILURE = "no <b>such</b> file"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end nothing may have been said on the console, nothing fetched, nothing have run."""
    pages, said, fetched = [], [], []

    def open_(path: Path, fragment: str = "", **context: Any) -> Any:
        page = browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | context).new_page()
        page.set_default_timeout(5000)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: fetched.append(request.url))
        page.goto(path.as_uri() + fragment)
        pages.append(page)
        return page

    yield open_
    for page in pages:
        assert page.evaluate("window.pwned") is None
        page.context.close()
    assert said == []
    assert [url for url in fetched if not url.startswith(("file:", "data:"))] == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures: scores 0, 1, 2 …, four classes, the last one failed, every fifth with a warning."""
    folder = tmp_path_factory.mktemp("report")
    entries = []
    for number in range(COUNT - 1):
        name, output = f"photos/p{number}.png", f"maps/p{number}.heatmap.png"
        made.picture(folder / name, seed=number)
        made.picture(folder / output, (96, 32) if number == 3 else (48, 32), seed=100 + number)
        entry = made.record(name, output, target=number % 4, warnings=["look at this"] if number % 5 == 0 else [])
        entry["target"]["score"] = float(number)
        entry["relevance"]["border_share"] = None if number == 2 else number / 100
        entries.append(entry)
    entries.append(made.failure("photos/broken.png", HIDDEN_FAILURE))
    records = made.write(folder / "maps/records.jsonl", entries)
    return write_report(records, folder / "maps/report.html").page


def first(page: Any) -> str:
    return page.locator(".card[aria-posinset='1'] .second").inner_text()


def counted(page: Any) -> str:
    return page.locator("#count").inner_text().replace("\u202f", " ")


def test_it_opens_with_the_model_the_totals_and_the_pictures(opened, report: Path):
    page = opened(report)
    assert page.locator("h1").inner_text() == "net.onnx"
    assert "0123456789ab" in page.locator("#meta").inner_text()
    assert page.locator("#figures").inner_text().split() == [
        *("Inputs", "24", "Heatmaps", "23", "Failed", "1", "With", "warnings", "5", "Median", "time", "1", "s"),
    ]
    assert counted(page) == "24 of 24"
    for position, width in [(1, 48), (4, 96)]:
        image = page.locator(f".card[aria-posinset='{position}'] img")
        playwright.expect(image).to_have_js_property("naturalWidth", width)


def test_search_by_name_label_and_index(opened, report: Path):
    page = opened(report)
    for sought, expected in [("P1.", 1), ("tiger", 6), ("owl p3", 1), ("2", 9), ("nothing", 0), ("", 24)]:
        page.fill("#search", sought)
        playwright.expect(page.locator("#count")).to_have_text(f"{expected} of 24")
    assert page.locator("#empty").is_hidden()


def test_filters_by_class_and_status(opened, report: Path):
    page = opened(report)
    page.select_option("#class", "3")
    assert counted(page) == "5 of 24"
    page.select_option("#status", "warned")
    assert counted(page) == "1 of 24"
    page.select_option("#class", "")
    page.select_option("#status", "failed")
    assert counted(page) == "1 of 24"
    assert HIDDEN_FAILURE in page.locator(".card").inner_text()
    page.fill("#search", "zzz")
    page.click("#reset")
    assert counted(page) == "24 of 24"


def test_sorted_both_ways_with_what_is_missing_last(opened, report: Path):
    page = opened(report)
    assert first(page) == "p0.png"
    page.select_option("#sort", "score")
    assert first(page) == "p22.png"
    page.click("#direction")
    assert first(page) == "p0.png"
    page.select_option("#sort", "border")
    assert first(page) == "p22.png"
    assert "at the border 22.0 %" in page.locator(".card[aria-posinset='1']").inner_text()
    for _ in range(2):
        page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_selector(".card[aria-posinset='24']")
        assert page.locator(".card[aria-posinset='23'] .second").inner_text() == "p2.png"
        page.click("#direction")
    page.select_option("#sort", "name")
    page.evaluate("scrollTo(0, 0)")
    page.wait_for_selector(".card[aria-posinset='1']")
    assert first(page) == "broken.png"
    assert page.locator(".card[aria-posinset='4'] .second").inner_text() == "p2.png"
    page.select_option("#sort", "order")
    page.click("#direction")
    assert first(page) == "broken.png"


def test_one_picture_with_a_slider_by_keyboard_and_mouse(opened, report: Path):
    page = opened(report)
    page.click(".card[aria-posinset='1'] a")
    slider = page.get_by_role("slider", name="Where the picture ends and the heatmap begins")
    assert slider.input_value() == "50"
    slider.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.input_value() == "52"
    assert page.locator(".place").inner_text() == "1 of 24"
    box = page.locator(".compare").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 20)
    at = slider.input_value()
    assert 24 <= int(at) <= 26
    assert page.eval_on_selector(".over", "image => getComputedStyle(image).clipPath") == f"inset(0px 0px 0px {at}%)"
    told = page.locator("#told").inner_text()
    for piece in ("tench, Tinca tinca", "75.0 %", "look at this", "pixels", "5.000", "12.5 %", "p0.heatmap.png"):
        assert piece in told
    assert page.locator("#told a", has_text="p0.heatmap.png").get_attribute("href") == "./p0.heatmap.png"


def test_the_slider_by_touch(opened, report: Path):
    page = opened(report, has_touch=True, viewport={"width": 360, "height": 740})
    page.tap(".card[aria-posinset='1'] a")
    box = page.locator(".compare").bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] * 0.75, box["y"] + 20)
    assert 73 <= int(page.locator("#cut").input_value()) <= 77


def test_another_shape_is_shown_beside_and_a_failure_with_its_message(opened, report: Path):
    page = opened(report)
    page.click(".card[aria-posinset='4'] a")
    assert page.locator("#stage img").count() == 2
    assert page.locator("#cut").count() == 0
    page.keyboard.press("Escape")
    page.select_option("#status", "failed")
    page.click(".card a")
    assert HIDDEN_FAILURE in page.locator("#told").inner_text()


def test_the_whole_way_by_keyboard(opened, report: Path):
    page = opened(report)
    reached = []
    for _ in range(20):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.name || 'card'"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle !== 'none' || "
                             "document.activeElement.type === 'radio'")  # fmt: skip
        if reached[-1] == "card" and page.evaluate("!!document.activeElement.closest('.card')"):
            break
    assert [name for name in reached if name != "card"] == [
        *("skip", "theme", "search", "class", "status", "sort", "direction", "face"),
    ]
    place = "document.activeElement.closest('.card').getAttribute('aria-posinset')"
    assert page.evaluate(place) == "1"
    for key, expected in [("ArrowRight", "2"), ("ArrowDown", "7"), ("ArrowUp", "2"), ("End", "24"), ("Home", "1")]:
        page.keyboard.press(key)
        assert page.evaluate(place) == expected
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.evaluate("location.hash") == "#picture=" + quote("photos/p0.png@0", safe="")
    assert page.evaluate("document.activeElement.id") == "called"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert "p1.png" in page.locator("#told").inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog", state="hidden")
    assert page.evaluate("location.hash") == ""
    assert page.evaluate(place) == "2"


def test_a_link_opens_its_picture(opened, report: Path):
    page = opened(report, "#picture=" + quote("photos/p7.png@3", safe=""))
    assert "p7.png" in page.locator("#told").inner_text()
    page.evaluate("location.hash = '#picture=%E0%A4%A'")  # no text at all
    page.wait_for_selector("dialog", state="hidden")


def test_no_sideways_scrolling_on_a_phone(opened, report: Path):
    page = opened(report, viewport={"width": 360, "height": 740}, device_scale_factor=2)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".card a").first.click()  # far below what was opened, and there all the same
    assert page.evaluate("document.getElementById('pane').scrollWidth") == 360
    assert page.locator("#close").bounding_box()["x"] < 360


def test_dark_by_preference_and_by_choice(opened, report: Path):
    shade = "parseInt(getComputedStyle(document.documentElement).backgroundColor.match(/\\d+/)[0])"
    assert opened(report, color_scheme="light").evaluate(shade) > 200
    page = opened(report, color_scheme="dark")
    assert page.evaluate(shade) < 50
    page.check("#theme input[value=light]", force=True)
    assert page.evaluate(shade) > 200


def test_reduced_motion_is_respected(opened, report: Path):
    page = opened(report, reduced_motion="reduce")
    assert page.eval_on_selector(".card a", "one => getComputedStyle(one).transitionDuration") == "0s"


def test_names_of_strangers_are_text(opened, tmp_path: Path):
    entries = []
    for number, name in enumerate(EVIL):
        output = f"maps/{name.replace('/', '')}.heatmap.png"
        made.picture(tmp_path / output, seed=number)
        entry = made.record(
            name, output, warnings=[name], method=name, model={"path": name, "sha256": name, "producer": name}
        )
        entry["target"]["label"] = entry["top"][0]["label"] = name
        entry["settings"] |= {name: name, "seed": number}
        entries += [entry, made.failure(name, name, name)]
    page = opened(
        write_report(made.write(tmp_path / "maps/records.jsonl", entries), tmp_path / "maps/report.html").page
    )
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    page.wait_for_selector("#failing li")
    assert page.locator("img[src=x], main svg, main script, dialog script, b b").count() == 0
    shown = page.locator("#failing").inner_text()
    for piece in (EVIL[0], "\\nbreak\\u2028and \\x1b[31m", "\\u202egnp.exe", "caf\\xe9.png", "🐢 {{7*7}} &lt;b&gt;"):
        assert piece in shown
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = false; })")
    for position in range(1, 2 * len(EVIL) + 1):
        card = page.locator(f".card[aria-posinset='{position}'] a")
        fragment = card.get_attribute("href")
        page.evaluate("where => { location.hash = where; }", fragment)
        page.wait_for_selector("dialog[open]")
        assert page.locator("#place").inner_text() == f"{position} of {2 * len(EVIL)}"
        links = page.eval_on_selector_all("#told a", "all => all.map(one => [one.getAttribute('href'), one.protocol])")
        assert all(re.match(r"\.\.?/", link) and protocol == "file:" for link, protocol in links)
        if position % 2:
            playwright.expect(page.locator("#stage img").first).to_have_js_property("naturalWidth", 48)
        page.keyboard.press("Escape")
        page.wait_for_selector("dialog", state="hidden")
    assert page.url.endswith("report.html")


def test_five_thousand_stay_virtual(opened, tmp_path: Path):
    made.picture(tmp_path / "photos/a.png")
    made.picture(tmp_path / "maps/a.heatmap.png")
    entries = [made.record("photos/a.png", "maps/a.heatmap.png", number % 4) for number in range(5000)]
    page = opened(
        write_report(made.write(tmp_path / "maps/records.jsonl", entries), tmp_path / "maps/report.html").page
    )
    assert counted(page) == "5 000 of 5 000"
    nodes = "document.querySelectorAll('*').length"
    assert page.evaluate(nodes) < 1500
    page.focus(".card a")
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.closest('.card').getAttribute('aria-posinset')") == "5000"
    assert page.evaluate(nodes) < 1500
    for share in (0.2, 0.7, 0.5):
        page.evaluate(f"scrollTo(0, {share} * document.documentElement.scrollHeight)")
        page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert page.evaluate(nodes) < 1500
        middle = page.evaluate("!!document.elementFromPoint(640, 600).closest('.card, .gallery')")
        assert middle


def test_a_page_that_has_moved_away_from_its_files_still_shows_them(opened, report: Path, tmp_path: Path):
    shutil.copy(report, tmp_path / "alone.html")
    text = (tmp_path / "alone.html").read_text("utf-8")
    (tmp_path / "alone.html").write_text(re.sub(r'"\.{1,2}/[^"]*\.png"', "null", text), "utf-8")
    page = opened(tmp_path / "alone.html")
    page.locator(".card a").first.click()
    for place in range(2):
        playwright.expect(page.locator("#stage img").nth(place)).to_have_js_property("naturalWidth", 48)


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("side", [0, 1], ids=["light", "dark"])
def test_contrast(side: int):
    """WCAG 2.2, 1.4.3 and 1.4.11: text 4.5 to 1, the edges of what can be used 3 to 1."""
    style = (Path(__file__).parents[2] / "heatcli/reporting/page.css").read_text("utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", style)
    colours = {name: luminance(both[side]) for name, *both in pairs}

    def ratio(one: str, other: str) -> float:
        low, high = sorted((colours[one], colours[other]))
        return (high + 0.05) / (low + 0.05)

    for text in ("ink", "quiet", "heat", "amber"):
        for ground in ("paper", "card", "sunk"):
            assert ratio(text, ground) >= 4.5, (text, ground)
    for one, other in [("amber", "amber-soft"), ("heat", "heat-soft"), ("ink", "track")]:
        assert ratio(one, other) >= 4.5, (one, other)
    for ground in ("paper", "card"):
        assert ratio("edge", ground) >= 3, ground
