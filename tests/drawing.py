"""Drawing on the picture of a review site's page, with the pointer."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page


def opened(page: Page, place: str = "#zones") -> Page:
    """A page with its place for drawing open: that of zones, or of the region that events are filtered by."""
    page.locator(f"{place} > summary").click()
    page.locator("svg.region").wait_for(state="visible")
    return page


def on_screen(page: Page, point: tuple[float, float]) -> tuple[float, float]:
    """Where a point of the picture, given as fractions of it, is on the screen; within the last pixel of its edges."""
    layer = page.locator("svg.region")
    layer.scroll_into_view_if_needed()
    box = layer.evaluate(
        """layer => {
          const { a, d, e, f } = layer.getScreenCTM();
          const { width, height } = layer.viewBox.baseVal;
          return [e, f, a * width, d * height];
        }"""
    )
    x, y = (box[i] + min(share * box[2 + i], box[2 + i] - 1) for i, share in enumerate(point))
    return x, y


def click(page: Page, points: list[tuple[float, float]]) -> None:
    """Click on points of the picture, given as fractions of it."""
    for point in points:
        page.mouse.click(*on_screen(page, point))


def drag(page: Page, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Drag the pointer over the picture, between points given as fractions of it."""
    (x1, y1), (x2, y2) = on_screen(page, start), on_screen(page, stop)
    page.mouse.move(x1, y1)
    page.mouse.down()
    page.mouse.move((x1 + x2) / 2, (y1 + y2) / 2)
    page.mouse.move(x2, y2)
    page.mouse.up()
