"""Pictures of every panel, wide and narrow, light and dark, of a workspace in which everything has run:

tandem demo --workspace WORKSPACE
python -m tests.serving.console.screenshots WORKSPACE FOLDER
"""

from __future__ import annotations

import io
import itertools
import sys
from pathlib import Path

from PIL import Image

from recsys.config.serving import ServingSettings
from recsys.storage.workspace import Workspace
from tests.serving.console.browsing import PANELS, act, launch, open_page, serve, show

WIDTHS = (1280, 390)
THEMES = ("light", "dark")


def take_screenshots(workspace: Workspace, folder: Path) -> None:
    """Writes `<panel>-<width>-<theme>.png` for each, as long as the panel is; the feed after a play and a like."""
    folder.mkdir(parents=True, exist_ok=True)
    with serve(workspace, ServingSettings()) as address, launch() as browser:
        for width, theme in itertools.product(WIDTHS, THEMES):
            with open_page(browser, address, width, theme) as page:
                act(page, 2, "click")
                act(page, 3, "like")
                for panel in PANELS:
                    show(page, panel)
                    picture = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
                    # A palette is a third of the bytes, and looks the same.
                    small = picture.quantize(256, kmeans=3, dither=Image.Dither.NONE)
                    small.save(folder / f"{panel}-{width}-{theme}.png", optimize=True)


if __name__ == "__main__":
    take_screenshots(Workspace(Path(sys.argv[1])), Path(sys.argv[2]))
