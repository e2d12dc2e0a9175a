"""Draws pipeline.svg, network.svg and cube.svg beside this file: python docs/images/draw.py"""

from __future__ import annotations

from pathlib import Path
from xml.sax.saxutils import escape

INK, QUIET = "#1f2933", "#66727f"
DATA, WORK, LEARNT, ANSWER = "#e6f0fa", "#fff3d6", "#e5f5e8", "#fbe4e6"
"""Fills of what is stored, what computes, what is learnt, and what comes out."""


class Picture:
    """Boxes, arrows and text on white, as SVG."""

    def __init__(self, width: int, height: int, title: str) -> None:
        self._size = width, height
        self._parts = [f"<title>{escape(title)}</title>", f'<rect width="{width}" height="{height}" fill="white"/>']

    def box(self, x: int, y: int, width: int, height: int, text: str, fill: str = DATA) -> None:
        """A box with one or more lines of text in its middle."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{INK}"/>'
        )
        lines = text.split("\n")
        for i, line in enumerate(lines):
            self.text(x + width / 2, y + height / 2 + 5 + 18 * (i - (len(lines) - 1) / 2), line, small=i > 0)

    def frame(self, x: int, y: int, width: int, height: int, text: str) -> None:
        """A dashed frame with its name above."""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="10" fill="none" stroke="{QUIET}" '
            'stroke-dasharray="5 4"/>'
        )
        self.text(x + 10, y - 8, text, anchor="start", small=True)

    def text(self, x: float, y: float, text: str, *, anchor: str = "middle", small: bool = False) -> None:
        size, colour = (12, QUIET) if small else (14, INK)
        self._parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[int, int]) -> None:
        """A line through `points` with a head at its end."""
        path = " ".join(f"{x},{y}" for x, y in points)
        self._parts.append(
            f'<polyline points="{path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#head)"/>'
        )

    def save(self, path: Path) -> None:
        path.write_text(self.svg(), encoding="utf-8")

    def svg(self) -> str:
        width, height = self._size
        head = (
            '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" '
            f'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="{INK}"/></marker></defs>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="system-ui, sans-serif">\n{head}\n' + "\n".join(self._parts) + "\n</svg>\n"
        )


def pipeline() -> Picture:
    """From an archive to a bundle, and to tables."""
    p = Picture(960, 400, "From an archive of videos to a model, and to tables of scores")
    p.box(20, 60, 130, 56, "archive\nfolder or s3://")
    p.box(20, 210, 130, 56, "driver\nplan of shards", WORK)
    p.arrow((85, 116), (85, 209))
    p.frame(190, 30, 440, 336, "a worker, one shard at a time: frames never leave it")
    p.box(210, 130, 110, 56, "decode\nPyAV", WORK)
    p.box(360, 60, 110, 56, "boxes\nmotion, ONNX", WORK)
    p.box(360, 200, 110, 56, "flow\nDIS", WORK)
    p.box(510, 130, 100, 56, "cut\ncubes", WORK)
    p.box(510, 280, 100, 56, "network\nscoring only", LEARNT)
    p.arrow((150, 238), (175, 238), (175, 158), (209, 158))
    p.arrow((320, 158), (340, 158), (340, 88), (359, 88))
    p.arrow((320, 158), (340, 158), (340, 228), (359, 228))
    p.arrow((470, 88), (490, 88), (490, 158), (509, 158))
    p.arrow((470, 228), (490, 228), (490, 158), (509, 158))
    p.arrow((560, 186), (560, 279))
    p.box(680, 60, 110, 56, "cubes\nParquet")
    p.box(830, 60, 110, 56, "train\nwithout labels", WORK)
    p.box(830, 170, 110, 56, "bundle\nsafetensors", LEARNT)
    p.arrow((610, 158), (645, 158), (645, 88), (679, 88))
    p.arrow((790, 88), (829, 88))
    p.arrow((885, 116), (885, 169))
    p.arrow((830, 198), (650, 198), (650, 262), (590, 262), (590, 279))
    p.box(680, 280, 110, 56, "scores\nof frames, events", ANSWER)
    p.box(830, 280, 110, 56, "look, query\nsite, DuckDB", ANSWER)
    p.arrow((610, 308), (679, 308))
    p.arrow((790, 308), (829, 308))
    return p


def network() -> Picture:
    """What a cube goes through."""
    p = Picture(960, 350, "The network: flow reconstruction through memories, and frame prediction guided by it")
    p.box(20, 60, 120, 56, "four flows\n32×32, (dx, dy)")
    p.frame(170, 40, 420, 96, "ML-MemAE-SC: each flow alone")
    p.box(190, 60, 100, 56, "encoder\n4 levels", LEARNT)
    p.box(320, 60, 110, 56, "memories\nnormal motion", LEARNT)
    p.box(460, 60, 110, 56, "decoder\nwith skips", LEARNT)
    p.box(630, 60, 130, 56, "rebuilt flows")
    p.box(810, 60, 130, 56, "S_r\nflow not rebuilt", ANSWER)
    for start, stop in ((140, 189), (290, 319), (430, 459), (570, 629), (760, 809)):
        p.arrow((start, 88), (stop, 88))
    p.arrow((80, 60), (80, 18), (875, 18), (875, 59))
    p.box(20, 210, 120, 56, "four frames\nt−4 … t−1")
    p.frame(170, 190, 420, 96, "CVAE: guided by the rebuilt flows")
    p.box(190, 210, 140, 56, "encoders\nof frames, of flows", LEARNT)
    p.box(430, 210, 140, 56, "decoder\nfrom latents", LEARNT)
    p.box(630, 210, 130, 56, "predicted frame")
    p.box(810, 210, 130, 56, "S_p\nframe not foreseen", ANSWER)
    for start, stop in ((140, 189), (330, 429), (570, 629), (760, 809)):
        p.arrow((start, 238), (stop, 238))
    p.arrow((695, 116), (695, 160), (260, 160), (260, 209))
    p.box(20, 290, 120, 40, "frame t")
    p.arrow((140, 310), (850, 310), (850, 267))
    p.text(900, 150, "score: both,", small=True)
    p.text(900, 166, "in deviations from", small=True)
    p.text(900, 182, "the training cubes", small=True)
    return p


def cube() -> Picture:
    """What a cube holds."""
    p = Picture(960, 250, "A cube: one box's crops over five frames, and the four flows between them")
    for i in range(5):
        x, name = 30 + 190 * i, "t" if i == 4 else f"t−{4 - i}"
        p.box(x, 40, 130, 90, "", "#f4f6f8")
        p.box(x + 40, 62, 44, 52, "", ANSWER if i == 4 else WORK)
        p.text(x + 65, 30, f"frame {name}")
    for x in range(30, 31 + 190 * 3, 190):
        p.box(x + 105, 165, 110, 34, "flow", LEARNT)
        p.arrow((x + 84, 114), (x + 135, 164))
        p.arrow((x + 230, 114), (x + 185, 164))
    p.text(
        480, 225, "the box is that of frame t, and the same in all five: a crop is 32×32 pixels, a flow 32×32 vectors"
    )
    p.text(480, 243, "appearance uint8 [5, 32, 32, 3]    flow float16 [4, 32, 32, 2]", small=True)
    return p


PICTURES = {"pipeline": pipeline, "network": network, "cube": cube}

if __name__ == "__main__":
    for name, draw in PICTURES.items():
        draw().save(Path(__file__).with_name(f"{name}.svg"))
