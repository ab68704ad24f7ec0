"""The colours of one panel can be told apart, also by eyes that see fewer colours."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any, Final

import numpy as np
import pytest
from grafana_viewer import boards
from numpy.typing import NDArray

EYES: Final = {
    "all colours": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}
"""What each sees of linear red, green and blue: Machado, Oliveira and Fernandes (2009), at full severity."""
XYZ: Final = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
)
BACKGROUND: Final = "#181B1F"
"""Grafana's panels in its dark theme, which is its default."""
LEAST_DIFFERENCE: Final = 15.0
"""In CIE Lab, where 2.3 can just be noticed side by side; thin lines need more."""
LEAST_CONTRAST: Final = 3.0
"""What WCAG 2 asks of graphics."""


def linear(colour: str) -> NDArray[np.float64]:
    shares = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def lab(colour: str, eye: NDArray[np.float64]) -> NDArray[np.float64]:
    seen = XYZ @ np.clip(eye @ linear(colour), 0, 1) / np.array([0.95047, 1, 1.08883])
    x, y, z = np.where(seen > 0.008856, np.cbrt(seen), 7.787 * seen + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one: str, other: str, eye: NDArray[np.float64]) -> float:
    return float(np.linalg.norm(lab(one, eye) - lab(other, eye)))


def contrast(one: str, other: str) -> float:
    dim, bright = sorted(float((XYZ @ linear(colour))[1]) for colour in (one, other))
    return (bright + 0.05) / (dim + 0.05)


def panels(places: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for panel in places:
        yield panel
        yield from panels(panel.get("panels", []))


def together() -> dict[tuple[str, str], str]:
    """Return the pairs of colours that stand in one panel, and one of those panels."""
    found: dict[tuple[str, str], str] = {}
    for board in boards():
        for panel in panels(board["panels"]):
            used = sorted(set(re.findall(r"#[0-9A-Fa-f]{6}", json.dumps(panel.get("fieldConfig", {})))))
            found |= dict.fromkeys(combinations(used, 2), f"{board['uid']}: {panel['title']}")
    return found


@pytest.mark.parametrize("eye", EYES)
def test_two_colours_of_one_panel_can_be_told_apart(eye: str) -> None:
    pairs = together()
    assert len(pairs) > 20
    alike = {
        pair: (round(difference(*pair, EYES[eye])), where)
        for pair, where in pairs.items()
        if difference(*pair, EYES[eye]) < LEAST_DIFFERENCE
    }
    assert alike == {}


def test_each_colour_stands_out_from_the_background() -> None:
    colours = {colour for pair in together() for colour in pair}
    faint = {colour for colour in colours if contrast(colour, BACKGROUND) < LEAST_CONTRAST}
    assert faint == set()


def test_the_red_and_green_that_most_people_mix_up_are_found_alike() -> None:
    assert difference("#56A64B", "#F2495C", EYES["deuteranopia"]) < LEAST_DIFFERENCE
    assert difference("#56A64B", "#F2495C", EYES["all colours"]) > 100
