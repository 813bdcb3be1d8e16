"""Draw the letters of chapter 6k: ``utils/data/frozen/glyphs.npz``.

Run it only to change the set of letters: a new file needs its checksum, which
this prints, in ``utils/data/images.py``, and new figures in the chapter.
Greys are rounded to sixteen levels, which halves the file.
"""

import hashlib
import pathlib
import sys
import unicodedata

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Letters and digits that are no accented or doubled form of another: Latin,
# a few Latin letters of their own, Greek, Cyrillic, Armenian, Georgian.
RANGES = "09 AZ az ÆÆ ÐÐ ØØ Þß ææ ðð øø þþ ΑΩ αω ϞϠ ЂЏ АЯ ая ђџ Ѣѥ ԱՖ ագ եֆ აჺ"


def characters():
    """The letters, without those that some style lacks."""
    listed = [
        chr(code)
        for first, last in RANGES.split()
        for code in range(ord(first), ord(last) + 1)
    ]
    from matplotlib import get_data_path
    from matplotlib.ft2font import FT2Font

    from utils.data.images import STYLES

    folder = pathlib.Path(get_data_path()) / "fonts" / "ttf"
    maps = [FT2Font(str(folder / f)).get_charmap() for f in STYLES.values()]
    return "".join(
        letter
        for letter in listed
        if all(ord(letter) in known for known in maps)
        and not unicodedata.decomposition(letter)
        and unicodedata.category(letter)[0] in "LN"
    )


def main():
    """Write the file and print its size and checksum."""
    from utils.data.images import STYLES, render_glyphs

    letters = characters()
    arrays = {"codepoints": np.array([ord(c) for c in letters], "int32")}
    for style in STYLES:
        glyphs = render_glyphs(style, letters)[..., 0]
        levels = 17 * np.rint(glyphs * 15)
        arrays[style.replace(" ", "_")] = levels.astype("uint8")
    path = ROOT / "utils" / "data" / "frozen" / "glyphs.npz"
    path.parent.mkdir(exist_ok=True)
    np.savez_compressed(path, **arrays)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(len(letters), "letters,", path.stat().st_size, "bytes", digest)


if __name__ == "__main__":
    sys.exit(main())
