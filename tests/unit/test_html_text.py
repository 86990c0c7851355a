from __future__ import annotations

import random
import sys

import pytest

from pytest_ragcheck.rag.html_text import html_to_text
from pytest_ragcheck.sentences import BlockKind, text_blocks


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>First   para\n&amp; more&nbsp;text.</p><p>Second", "First para & more text.\n\nSecond"),
        ("<h1>Main <em>title</em><br>goes on</h1><h3>Sub</h3>Text", "# Main title goes on\n\n### Sub\n\nText"),
        ("In <b>a</b><i>b</i> line<br/>and the next", "In ab line\nand the next"),
        ("<ul><li>One<li>Two<ul><li>inner</ul><li>Three</ul>After", "- One\n- Two\n  - inner\n- Three\n\nAfter"),
        ("<ol><li>One</li><li>Two</li></ol><ol><li>New</ol>", "1. One\n2. Two\n\n1. New"),
        (
            "<table><tr><th>A<th>B</tr><tr><td><p>1</p><p>2</p></td><td></td><td>z<br>y</td></tr></table>T",
            "A | B\n1 2 |  | z y\n\nT",
        ),
        ("<table><td><h2>Layout</h2><p>Text</p></td><td>side</td></table>", "## Layout\n\nText\n\nside"),
        ("<pre>\n  a = 1\n\n  # b &lt; <b>2</b>\n</pre>after", "```\n  a = 1\n\n  # b < 2\n```\n\nafter"),
        ("<pre>```</pre>", "````\n```\n````"),
        ("<dl><dt>term<dd>meaning</dl>", "term\n\nmeaning"),
        ("a&#65;&#x42;&eacute;&unknown;&#xD800;", "aABé&unknown;\ufffd"),
        ("soft&shy;hyphen", "softhyphen"),
        ("5 < 6 & 7 > 2 <3 </> x", "5 < 6 & 7 > 2 <3 x"),
        ("<a title='a > b' href=x>link</a>", "link"),
        ("<a href=it's>one</a> <a href=\"x>two</a> three", "one two three"),
        ("<h2>Unclosed<p>body", "## Unclosed\n\nbody"),
        ("<h2></h2><p>body", "body"),
        ("<P>Upper</P><BR>case", "Upper\n\ncase"),
        ("a<!-- b > c --> d<!-->e<!DOCTYPE x>f<?php g ?>h<![CDATA[i]]>j", "a defhj"),
        ("", ""),
    ],
)
def test_markup_becomes_text(markup: str, text: str) -> None:
    assert html_to_text(markup) == text


@pytest.mark.parametrize(
    "dropped",
    [
        "<head><title>Title</title><meta name=a content='b'><link href=c></head>",
        "<script>if (a < b) { x = '</p>' }</script>",
        "<SCRIPT type=x>a</ScRiPt >",
        "<script src=x />",
        "<style>p > a { }</style>",
        "<template>a<template>b</template>c</template>",
        "<noscript><p>Please enable</p></noscript>",
        "<iframe>a</iframe>",
        "<!-- <p>comment</p> -->",
    ],
)
def test_what_is_no_text_is_left_out(dropped: str) -> None:
    assert html_to_text(f"<p>Before</p>{dropped}<p>After</p>") == "Before\n\nAfter"


def test_borders_survive_as_blocks() -> None:
    text = html_to_text("<h2>Title</h2><ul><li>One<li>Two</ul><table><tr><td>a<td>b</table><pre># no heading</pre>")
    assert [block.kind for block in text_blocks(text)] == [
        BlockKind.HEADING,
        BlockKind.TEXT,
        BlockKind.TEXT,
        BlockKind.TABLE_ROW,
        BlockKind.CODE,
    ]


@pytest.mark.parametrize(
    "markup",
    ["<script>never", "<!-- never", "<p", "<p class='", '<a b="', "</", "<!", "<?", "<template><template></template>"],
)
def test_what_is_never_closed_ends_the_page(markup: str) -> None:
    assert html_to_text(f"Text {markup}").rstrip("/< ") == "Text"


def test_numbers_of_thousands_of_digits_are_no_characters() -> None:
    nines, zeros = "9" * 6000, "0" * 6000
    assert html_to_text(f"a&#{nines};b&#x{nines};c&#{zeros}65;d") == "a\ufffdb\ufffdcAd"


TAGS = ["p", "td", "tr", "table", "h1", "pre", "ul", "ol", "li", "script", "template", "b"]
MARKS = ["<", ">", "/", "=", "'", '"', "&#", "&amp", "<a ", "<td ", "<!--", "-->", "<![CDATA[", "]]>", "<br/>"]
PIECES = [*MARKS, *(f"<{tag}>" for tag in TAGS), *(f"</{tag}>" for tag in TAGS), "text", "é", " ", "\n", "\u2003"]


@pytest.mark.parametrize("seed", range(300))
def test_broken_markup_never_fails_nor_harms_what_stands_before_it(seed: int) -> None:
    chosen = random.Random(seed)
    text = html_to_text("<p>Before</p>" + "".join(chosen.choices(PIECES, k=chosen.randrange(60))))
    assert text.startswith("Before")
    assert text == text.strip()
    if "```" not in text:
        assert "\n\n\n" not in text
        assert "\u2003" not in text


@pytest.mark.parametrize(
    "piece",
    ["<", "<a ", '<a b="', "<a b='", "<!--", "<![CDATA[", "</", "<script>", "<template>", "</template>", "<ul>",
     "<pre>", "<ul><li>x", "<table><tr><td>x", "<h1>x", "&", "&#", "&#0", "<a =", "<!", "</script", "<pre>`</pre>"],
)  # fmt: skip
def test_work_grows_with_the_length_alone(piece: str) -> None:
    """A reader that goes back would take minutes for the long text; steps are counted on short ones."""

    def steps(text: str) -> int:
        lines = 0

        def count(frame, event, argument):
            nonlocal lines
            lines += event == "line"
            return count

        before = sys.gettrace()
        sys.settrace(count)
        try:
            html_to_text(text)
        finally:
            sys.settrace(before)
        return lines

    assert steps(piece * 1200) < 4 * steps(piece * 300) + 400
    assert len(html_to_text(piece * (200_000 // len(piece)))) < 400_000
