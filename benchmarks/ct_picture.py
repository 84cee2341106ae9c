"""A picture of the drawn CT: slices from the feet to the head, and the same with their organs in colour.

python benchmarks/ct_picture.py docs/ct.png
"""

import sys

import numpy as np
from PIL import Image, ImageColor, ImageDraw

from zoo_opt_seg.data.synthetic.ct import CLASSES, volume

HEX = "#eb4034 #60c846 #ffbe28 #fa78d2 #aa6432 #46c8e1 #826efa #ebeb64"  # one for each organ
COLOURS = np.array([ImageColor.getrgb(colour) for colour in HEX.split()], np.uint8)
SCALE, COLUMNS, CASES = 2, 6, (1, 4)


def case_rows(number: int) -> np.ndarray:
    """Return two rows of slices of one case, uint8 RGB."""
    case = volume(0, number)
    columns = []
    for i in np.linspace(1, len(case.image) - 2, COLUMNS).round().astype(int):
        grey = np.repeat((case.image[i] * 31).round().astype(np.uint8)[..., None] * 8, 3, axis=2)
        colour = COLOURS[case.label[i].astype(int) - 1]
        organs = np.where(case.label[i][..., None] > 0, grey // 2 + colour // 2, grey)
        columns.append(np.concatenate([grey[18:-14], organs[18:-14]]))
    return np.concatenate(columns, axis=1)


def main() -> None:
    """Write the picture."""
    image = Image.fromarray(np.concatenate([case_rows(number) for number in CASES]))
    image = image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)
    page = Image.new("RGB", (image.width, image.height + 22))
    page.paste(image, (0, 22))
    draw, x = ImageDraw.Draw(page), 8
    for name, colour in zip(CLASSES, COLOURS, strict=True):
        draw.rectangle((x, 6, x + 10, 16), fill=tuple(int(c) for c in colour))
        draw.text((x + 15, 5), name, fill=(255, 255, 255))
        x += 32 + int(draw.textlength(name))
    page.save(sys.argv[1], optimize=True)


if __name__ == "__main__":
    main()
