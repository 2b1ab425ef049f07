"""The emoji: which ones are classes, which ones only distract, and their pictures.

The glyphs are those of Noto Color Emoji (SIL Open Font License 1.1), Debian's package fonts-noto-color-emoji. The font
is read where it lies; nothing of it is kept here.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont

FONT = Path(os.environ.get("EMOJI_FONT") or "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
STRIKE = 109
"""The one size, in pixels an em, in which the font holds its pictures."""

CLASSES = {
    "frog": "🐸",
    "shark": "🦈",
    "cat": "🐱",
    "dog": "🐶",
    "sheep": "🐑",
    "volcano": "🌋",
    "owl": "🦉",
    "butterfly": "🦋",
    "elephant": "🐘",
    "penguin": "🐧",
    "octopus": "🐙",
    "turtle": "🐢",
    "fox": "🦊",
    "snail": "🐌",
    "ladybug": "🐞",
    "parrot": "🦜",
    "rocket": "🚀",
    "sailboat": "⛵",
    "mushroom": "🍄",
    "strawberry": "🍓",
    "pineapple": "🍍",
    "sunflower": "🌻",
    "pizza": "🍕",
    "drum": "🥁",
}
"""Label to glyph, in the order of the network's outputs. Thin things (bicycle, umbrella) are not learned well at this
size and are left out."""

TRAINED_DISTRACTORS = tuple(
    "🍎🍋🍇🍒🍑🥥🍞🧁🍩🍪🍔🍟🌮🍣🍦🎂🍭☕🍺🥚"
    "🐰🐻🐼🦁🐮🐴🦄🐝🐟🐬🐿🦔🦇🐍🐊🦘🦒🐪🦢🦩🐥🕷🦂🦐"
    "🌵🌲🌴🍁🍀🌹🌷🌙🌈🔥💧🌍🍂🌾💐"
    "🏀⚽🎾🎱🎲🎈🎁🎨🎸🎺🎻🎹🧩🏆🥇🎳🪀"
    "🚗🚌🚒🚜🚂🚁🛴🚦⚓🏠🏰🗼⛺⛲🎡"
    "💡📷📺📚💼🔑🔒🔔🔨🧲🧭🕰📦💎👑🎩👟👗🧤🧦🎒💰📌🔍🧯🪣🧹🛒📱💻👻🤖🎃😀💩🗿❤💙"
    "🥒🥭🍊🧅🥜🌶🥓🍗🍖🌭🌯🍲🍱🍜🍢🍡🍨🥧🥛🍸🐒🦍🐅🐎🦬🐄🐀🐇🦫🐓🦅🦆🦕🐳🦭🪳🪰🥀🎄☘⛰🏝🏟🏛🏥🎠🚃🚄🚑🚲"
    "🛹⛽🛑🚧🛶🛳🛩🛸🧳⌚🌡☀🪐☁⛈☂⛄🎆🎀🏅⚾🥎🏉🥋🥅⛸🎿🔮🎰♟🃏🎭🥽🦺👔👖🧥👘👙👛👢💄📢🎛📻☎⌨💾📹🏮📔📰✏📁✂🗡🛡⚙🧰🔬💉🛏🛋🚿🧻🧽"
)
"""Things that are no class, put beside the classes and alone into empty scenes."""

CALIBRATION_DISTRACTORS = tuple(
    "🥑🍆🥔🧄🥦🥨🥞🍤🍙🥟🍬🍷🥤🐹🐭🦝🦏🦛🐂🐖🦙🦌🦚🐠🦞🦑🐛🦗🐜🌺🪨🌊⭐🏐🥏🎬🎤🪘🚓🚛🛵🚢🚉⛪🏯💍👠🩰🎓🧵🪡🔧🪓🔗🧪🔭📡🪑🛁🧴🗑⌛🎐🎏🪆👹🤡👶🎅"
)
"""Things that set how much evidence a yes takes, after training and before evaluation; part of neither."""

UNSEEN_DISTRACTORS = tuple(
    "🍌🍐🍉🥝🥕🌽🥐🧀🍿🍫🐷🐨🐵🐔🦃🦀🐡🐫🦓🐗🌸🌰🌳🎷🪁🏈🥊🎯🎪🚚🚕🏍🚤🏢🗽⏰🔋🔦🧸👒🧢👜🪴📞🖨💀👽"
)
"""Things for evaluation only: the network never sees them in training."""


@cache
def sprite(glyph: str) -> PIL.Image.Image:
    """Return the picture of ``glyph``, RGBA, cut to what is visible and padded to a square of about 130 pixels.

    Raises FileNotFoundError where the font is missing and ValueError where it does not hold the glyph.
    """
    if not FONT.is_file():
        raise FileNotFoundError(f"{FONT}: not found; apt install fonts-noto-color-emoji, or set EMOJI_FONT to the font")
    canvas = PIL.Image.new("RGBA", (2 * STRIKE, 2 * STRIKE))
    font = PIL.ImageFont.truetype(str(FONT), STRIKE)
    PIL.ImageDraw.Draw(canvas).text((20, 20), glyph, font=font, embedded_color=True)
    box = canvas.getchannel("A").getbbox()
    if box is None:
        raise ValueError(f"{FONT} has no picture of {glyph}")
    cut = canvas.crop(box)
    square = PIL.Image.new("RGBA", (max(cut.size), max(cut.size)))
    square.paste(cut, ((square.width - cut.width) // 2, (square.height - cut.height) // 2))
    return square
