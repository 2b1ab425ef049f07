"""Draw the README's picture: a scene with a cat and a dog, and what speaks for each of them.

python -m sample_images.readme
"""

from __future__ import annotations

from pathlib import Path

import PIL.Image

import heatcli

FOLDER = Path(__file__).parent
MODEL = FOLDER.parent / "models" / "emoji_scenes" / "emoji_scenes.onnx"
PICTURE = FOLDER / "readme" / "cat_and_dog.png"
SIDE, GAP = 300, 15


def drawn() -> PIL.Image.Image:
    """Return the scene, the heatmap of its cat and that of its dog side by side, transparent between."""
    explainer = heatcli.load(MODEL)
    scene = FOLDER / "cat_and_dog.png"
    parts = [PIL.Image.open(scene)]
    parts += [explainer.explain(scene, target=name).render(style="heatmap", colormap="hot") for name in ("cat", "dog")]
    strip = PIL.Image.new("RGBA", (len(parts) * (SIDE + GAP) - GAP, SIDE))
    for place, part in enumerate(parts):
        strip.paste(part.convert("RGBA").resize((SIDE, SIDE), PIL.Image.Resampling.LANCZOS), (place * (SIDE + GAP), 0))
    return strip


if __name__ == "__main__":
    PICTURE.parent.mkdir(exist_ok=True)
    drawn().save(PICTURE, optimize=True)
