"""Photographs, patches, letters, and the classical ways to treat them.

NumPy and Pillow only. Images are float32 in [0, 1] with shape ``(height,
width, channels)``, stacks of them ``(n, height, width, channels)``.
"""

import io
import pathlib

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from utils.support import validation as check
from utils.support.files import check_frozen

__all__ = [
    "STYLES",
    "from_patches",
    "jpeg",
    "load_glyphs",
    "load_photographs",
    "render_glyphs",
    "resize",
    "to_patches",
]

# Font files that matplotlib ships: DejaVu 2.37, a free licence that allows
# redistribution of renderings.
STYLES = {
    "sans": "DejaVuSans.ttf",
    "sans bold": "DejaVuSans-Bold.ttf",
    "serif": "DejaVuSerif.ttf",
    "serif bold": "DejaVuSerif-Bold.ttf",
}
_LUMA = np.array([0.299, 0.587, 0.114], "float32")  # Rec. 601, as JPEG
_GLYPHS = pathlib.Path(__file__).parent / "frozen" / "glyphs.npz"
_GLYPHS_SHA256 = (
    "7fde8f10936a6a192ddcc6a94e47d0a75a5594dcd791de22325444e22a90abbd"
)


def load_photographs(*, grey=False):
    """The two photographs that ship with scikit-learn; no network needed.

    A Chinese temple (Yann Forget) and a flower (Dark Sevier), both CC BY.
    They are stored as JPEG files, so that their noise is already that of
    JPEG's 8 × 8 blocks. Three rows and four columns are cut off the top and
    the left, so that no block of ours lies on a block of the file's.

    Args:
        grey: Return the luminance 0.299 R + 0.587 G + 0.114 B alone.

    Returns:
        Dict of ``"china"`` and ``"flower"`` to a float32 array ``(424, 632,
        3)``, or ``(424, 632, 1)``, in [0, 1].
    """
    import sklearn.datasets

    bunch = sklearn.datasets.load_sample_images()
    photographs = {}
    for path, pixels in zip(bunch.filenames, bunch.images, strict=True):
        image = pixels[3:, 4:636].astype("float32") / 255.0
        if grey:
            image = (image @ _LUMA)[..., None]
        photographs[pathlib.Path(path).stem] = image
    return photographs


def _image(image, name="image"):
    image = check.check_array(image, name)
    if image.ndim != 3:
        check.fail(name, "shape (height, width, channels)", str(image.shape))
    return image


def to_patches(image, size, stride=None):
    """Cut an image into squares, row by row.

    Args:
        image: Array ``(height, width, channels)``.
        size: Side of a square, in pixels.
        stride: Distance between neighbours; ``None`` puts them side by
            side. What does not fill a square at the right and at the
            bottom is left out.

    Returns:
        Float32 array ``(n, size, size, channels)``.

    Raises:
        ValueError: not an image, NaN, or smaller than one square.
    """
    image = _image(image)
    size = check.check_int(size, "size", maximum=min(image.shape[:2]))
    stride = check.check_int(size if stride is None else stride, "stride")
    windows = np.lib.stride_tricks.sliding_window_view(
        image, (size, size), axis=(0, 1)
    )[::stride, ::stride]  # (rows, columns, channels, size, size)
    patches = windows.transpose(0, 1, 3, 4, 2)
    return np.ascontiguousarray(patches).reshape(-1, *patches.shape[2:])


def from_patches(patches, shape):
    """Put squares that lie side by side back together.

    Args:
        patches: Array ``(n, size, size, channels)`` from :func:`to_patches`
            with its default stride.
        shape: ``(height, width)`` of the image they were cut from.

    Returns:
        Float32 array ``(rows · size, columns · size, channels)``.

    Raises:
        ValueError: a number of squares that does not fit the shape.
    """
    patches = check.check_array(patches, "patches", ndim=4)
    size, channels = patches.shape[1], patches.shape[3]
    rows, columns = shape[0] // size, shape[1] // size
    if rows * columns != len(patches):
        check.fail(
            "patches", f"{rows} · {columns} squares", f"{len(patches)} squares"
        )
    grid = patches.reshape(rows, columns, size, size, channels)
    grid = grid.transpose(0, 2, 1, 3, 4)
    return grid.reshape(rows * size, columns * size, channels)


def resize(images, size):
    """Shrink or enlarge by bicubic interpolation (Keys 1981).

    When shrinking, Pillow widens the kernel by the factor, so that fine
    detail is averaged away and not folded into false patterns.

    Args:
        images: Array ``(n, height, width, channels)``.
        size: New ``(height, width)``.

    Returns:
        Float32 array ``(n, *size, channels)``. Bicubic weights can be
        negative: values may leave the range of the input a little.

    Raises:
        ValueError: not a stack of images, NaN, a side below 1.
    """
    images = check.check_array(images, "images", ndim=4)
    height, width = check.check_shape(size, "size")
    resized = np.empty((len(images), height, width, images.shape[3]), "float32")
    for index, image in enumerate(images):
        for channel in range(images.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[..., channel]))
            resized[index, ..., channel] = np.asarray(
                plane.resize((width, height), Image.Resampling.BICUBIC)
            )
    return resized


def jpeg(image, quality):
    """Compress an image with JPEG in memory and decompress it again.

    Args:
        image: Array ``(height, width, channels)`` in [0, 1], one channel or
            three.
        quality: Integer from 1 to 95, Pillow's scale.

    Returns:
        Pair: the image after decompression, and the bits it took. The file
        of an empty 8 × 8 image at the same quality is subtracted: headers
        and quantisation tables are, like a decoder, the same for every
        image. Huffman tables are fitted to the image and counted.

    Raises:
        ValueError: not an image, out of [0, 1], or a quality out of range.
    """
    image = _image(image)
    check.check_array(image, "image", low=0.0, high=1.0)
    quality = check.check_int(quality, "quality", maximum=95)
    pixels = np.rint(image * 255.0).astype("uint8")
    empty = np.full((8, 8, image.shape[2]), 128, "uint8")
    files = [_jpeg_file(array, quality) for array in (pixels, empty)]
    with Image.open(io.BytesIO(files[0])) as opened:
        decoded = np.asarray(opened, "float32").reshape(image.shape) / 255.0
    return decoded, 8 * (len(files[0]) - len(files[1]))


def _jpeg_file(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(
        file, "JPEG", quality=quality, optimize=True
    )
    return file.getvalue()


def render_glyphs(font, characters, size=24):
    """Draw characters with a font file: white on black, on one baseline.

    Drawn four times as large and averaged down, so that no hinting for
    small sizes is involved.

    Args:
        font: Path of a TrueType font, or a name of ``STYLES``, which is
            looked up among matplotlib's bundled fonts.
        characters: String.
        size: Side of a picture, in pixels.

    Returns:
        Float32 array ``(len(characters), size, size, 1)`` in [0, 1].

    Raises:
        ValueError: no characters, or no such font.
    """
    size = check.check_int(size, "size", minimum=8)
    if not isinstance(characters, str) or not characters:
        check.fail("characters", "a string of at least one", repr(characters))
    if font in STYLES:
        import matplotlib

        fonts = pathlib.Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        font = fonts / STYLES[font]
    try:
        drawn = ImageFont.truetype(str(font), size=round(0.75 * 4 * size))
    except OSError:
        check.fail("font", "a TrueType file or a name of STYLES", repr(font))
    glyphs = np.empty((len(characters), size, size, 1), "float32")
    for index, character in enumerate(characters):
        canvas = Image.new("L", (4 * size, 4 * size))
        ImageDraw.Draw(canvas).text(
            (2 * size, 3 * size), character, fill=255, font=drawn, anchor="ms"
        )
        pixels = np.asarray(canvas, "float32") / 255.0
        blocks = pixels.reshape(size, 4, size, 4)
        glyphs[index, ..., 0] = blocks.mean(axis=(1, 3))
    return glyphs


def load_glyphs():
    """Letters in four styles of the DejaVu fonts, frozen in the package.

    Drawn once by :func:`render_glyphs` from the fonts of matplotlib 3.11
    and kept in a file, because a font library of another version draws
    slightly different greys.

    Returns:
        Pair: the characters, a string; and a dict of style, the names of
        ``STYLES``, to float32 pictures ``(n, 24, 24, 1)`` in [0, 1], in the
        order of the characters.

    Raises:
        ValueError: the file is not the one that belongs to the course.
    """
    raw = _GLYPHS.read_bytes()
    check_frozen(raw, _GLYPHS_SHA256, _GLYPHS.name)
    with np.load(io.BytesIO(raw), allow_pickle=False) as file:
        characters = "".join(map(chr, file["codepoints"]))
        glyphs = {
            style: file[style.replace(" ", "_")].astype("float32") / 255.0
            for style in STYLES
        }
    return characters, {name: x[..., None] for name, x in glyphs.items()}
