"""Reads figures back out of what is drawn: the places of marks, by the labels of the axes beside them."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from playwright.sync_api import Locator, Page

_READ = """card => [
    [...card.querySelectorAll('.chart text')].map((text) => [text.textContent, +text.getAttribute('x'),
        +text.getAttribute('y'), text.getAttribute('text-anchor')]),
    [...card.querySelectorAll('.chart circle')].map((circle) => [+circle.getAttribute('cx'),
        +circle.getAttribute('cy')]),
    [...card.querySelectorAll('.chart g path')].map((path) => path.getAttribute('d')),
    [...card.querySelectorAll('.chart path.outline')].map((path) => path.getAttribute('d')),
]"""


@dataclass(frozen=True)
class Drawing:
    """What a chart is made of: labels as (text, x, y, anchor), dots as (x, y), paths of lines and of outlines."""

    labels: list[tuple[str, float, float, str]]
    dots: list[tuple[float, float]]
    lines: list[str]
    outlines: list[str]

    def read_line(self) -> list[tuple[int, float]]:
        """Returns the dots of a line over rounds."""
        across = {x: int(text) for text, x, _, anchor in self.labels if anchor == "middle"}
        up = [(y - 4, text) for text, _, y, anchor in self.labels if anchor == "end"]
        return [(across[x], _locate(y, up)) for x, y in self.dots]

    def read_intervals(self) -> list[tuple[float, float, float]]:
        """Returns mean, low and high of each row."""
        across = [(x, text) for text, x, _, anchor in self.labels if anchor == "middle"]
        ends = [re.fullmatch(r"M([\d.]+) [\d.]+H([\d.]+)", line).groups() for line in self.lines]
        places = [(x, *map(float, pair)) for (x, _), pair in zip(self.dots, ends, strict=True)]
        return [tuple(_locate(place, across) for place in row) for row in places]

    def read_counts(self) -> list[list[int]]:
        """Returns the number of people in each bin, outline by outline; heights are their square roots."""
        up = [(y - 4, str(float(text) ** 0.5)) for text, _, y, anchor in self.labels if anchor == "end"]
        outlines = [re.findall(r"L[\d.]+ ([\d.]+)H", outline) for outline in self.outlines]
        return [[round(_locate(float(height), up) ** 2) for height in heights] for heights in outlines]


def read_drawing(page: Page, title: str) -> Drawing:
    labels, dots, lines, outlines = find_card(page, title).evaluate(_READ)
    return Drawing([tuple(label) for label in labels], [tuple(dot) for dot in dots], lines, outlines)


def find_card(page: Page, title: str) -> Locator:
    """Returns the visible card of a title."""
    return page.locator("section.card:visible").filter(has=page.locator(f"h3:text-is('{title}')"))


def read_table(page: Page, title: str) -> list[list[str]]:
    """Returns the cells of the table below a chart."""
    rows = "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    return find_card(page, title).locator("tbody tr").evaluate_all(rows)


def read_tiles(page: Page) -> dict[str, tuple[str, str]]:
    """Returns the visible tiles: name to number and what it means."""
    tiles = page.locator(".tile:visible").evaluate_all(
        "tiles => tiles.map((tile) => ['dt', 'strong', 'span'].map((tag) => tile.querySelector(tag)?.textContent))"
    )
    return {name: (number.replace("\u00a0", " "), meaning.replace("\u00a0", " ")) for name, number, meaning in tiles}


def _locate(place: float, ticks: list[tuple[float, str]]) -> float:
    """Returns the number at a place of an axis."""
    places, texts = zip(*ticks, strict=True)
    slope, start = np.polyfit(places, [float(text.replace("−", "-").replace(",", "")) for text in texts], 1)
    return float(start + slope * place)
