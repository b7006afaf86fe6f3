"""Files as real folders hold them, each with what must become of it.

`ODD` maps a file's name to (write, reason): a function of the path, and a pattern of the reason
for which the file is refused, or None where it is used.
"""

import io
import os
import socket
import struct
import zlib

import cv2
import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(0)
PIXELS = cv2.resize(RNG.integers(0, 256, (6, 8, 3), dtype=np.uint8), (64, 48))
DEEP = PIXELS.astype(np.uint16) * 256 + 7  # the lower bits are others than the upper
TOO_LARGE = "more than LoadImage's max_pixels="
ENDLESS = PIXELS.astype(np.float64)
ENDLESS[3, 4] = np.nan


def encode(suffix, pixels=PIXELS):
    return cv2.imencode(suffix, pixels)[1].tobytes()


def png(*chunks):
    """A PNG of chunks (name, content), with right checksums."""
    parts = [
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def patched(content, at, value):
    return content[:at] + value + content[at + len(value) :]


def jpeg_of_size(height, width):
    content = encode(".jpg")
    return patched(content, content.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def jpeg_with_warnings():
    content = encode(".jpg", cv2.resize(PIXELS, (320, 240)))
    return content[:1200] + bytes(200) + content[1200:]


def tiff_of_size(path, side):
    tifffile.imwrite(path, PIXELS, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[tag].overwrite(side)


def tiff_of_unknown_colours(path):
    tifffile.imwrite(path, PIXELS, photometric="rgb")
    with tifffile.TiffFile(path, mode="r+b") as file:
        file.pages[0].tags["PhotometricInterpretation"].overwrite(60000)


def npy_header(shape, descr="|u1"):
    file = io.BytesIO()
    header = {"descr": descr, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    return file.getvalue() + bytes(1000)


def listen(path):
    server = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(path.parent)  # the names of sockets must be short
    server.bind(path.name)
    os.chdir(here)
    server.close()


def holds(content):
    return lambda path: path.write_bytes(content)


def array(values):
    return lambda path: np.save(path, values)


def tiff(values, **options):
    return lambda path: tifffile.imwrite(path, values, **options)


def save_archive(path):
    with open(path, "wb") as file:
        np.savez(file, PIXELS)


HUGE = {
    "huge.png": holds(
        png(
            (b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)),
            (b"IDAT", zlib.compress(bytes(1000))),
            (b"IEND", b""),
        )
    ),
    "huge.jpg": holds(jpeg_of_size(65000, 65000)),
    "huge.bmp": holds(patched(encode(".bmp"), 18, struct.pack("<ii", 60000, -60000))),
    "huge.webp": holds(
        b"RIFF"
        + struct.pack("<I", 22)
        + b"WEBPVP8 "
        + struct.pack("<I", 10)
        + b"\x10\0\0\x9d\x01\x2a"
        + struct.pack("<HH", 16383, 16383)
    ),
    "huge_lossless.webp": holds(
        b"RIFF"
        + struct.pack("<I", 18)
        + b"WEBPVP8L"
        + struct.pack("<I", 5)
        + b"\x2f"
        + struct.pack("<I", 16382 | 16382 << 14)
        + b"\0"
    ),
    "huge.tif": lambda path: tiff_of_size(path, 60000),
    "huge.npy": holds(npy_header((400_000, 2_400_000))),
}
ODD = {
    # Used, whatever is unusual about them.
    "deep.png": (holds(encode(".png", DEEP)), None),
    "colours.tif": (tiff_of_unknown_colours, None),
    "deep.tif": (tiff(DEEP[..., ::-1], photometric="rgb"), None),
    "deep.npy": (array(DEEP[..., ::-1]), None),
    "big_endian.npy": (array(DEEP[..., ::-1].astype(">u2")), None),
    "fortran.npy": (array(np.asfortranarray(PIXELS[..., ::-1])), None),
    "bool.npy": (array(PIXELS > 100), None),
    "grey.npy": (array(PIXELS[..., 0]), None),
    "grey.png": (holds(encode(".png", PIXELS[..., 0])), None),
    "alpha.png": (holds(encode(".png", np.dstack([PIXELS, PIXELS[..., :1]]))), None),
    "palette.png": (lambda path: Image.fromarray(PIXELS).quantize(20).save(path), None),
    "grey_alpha.png": (lambda path: Image.fromarray(PIXELS).convert("LA").save(path), None),
    "cmyk.jpg": (lambda path: Image.fromarray(PIXELS).convert("CMYK").save(path), None),
    "png.jpg": (holds(encode(".png")), None),
    "one_pixel.png": (holds(encode(".png", PIXELS[:1, :1])), None),
    "long.png": (holds(encode(".png", cv2.resize(PIXELS, (2000, 10)))), None),
    # Refused: no numbers of the kind, or too few or many of them.
    "float16.npy": (array(PIXELS.astype(np.float16)), "values of type float32, expected uint8"),
    "int64.npy": (array(PIXELS.astype(np.int64)), "values of type float32, expected uint8"),
    "nan.npy": (array(ENDLESS), "values that are not finite"),
    "vast.npy": (array(ENDLESS * 0 + 1e300), "values that are not finite"),
    "complex.npy": (array(PIXELS * 1j), "values of type complex128, expected numbers"),
    "object.npy": (array(PIXELS.astype(object)), "Object arrays cannot be loaded"),
    "structured.npy": (array(np.zeros((9, 9), "u1,f4")), "values of type .*, expected numbers"),
    "text.npy": (array(np.full((9, 9), "text")), "values of type .*, expected numbers"),
    "volume.npy": (array(np.zeros((3, 3, 3, 3), "u1")), r"an array of shape \(3, 3, 3, 3\)"),
    "nothing.npy": (array(np.zeros((0, 9, 3), "u1")), r"an array of shape \(0, 9, 3\)"),
    "bands.npy": (array(np.zeros((9, 9, 5), "u1")), "5 channels, expected 3"),
    "bands.tif": (
        tiff(np.zeros((9, 9, 5), "u1"), photometric="minisblack", planarconfig="contig"),
        "5 channels, expected 3",
    ),
    "extra.tif": (tiff(np.zeros((9, 9, 5), "u1"), photometric="rgb"), "5 channels, expected 3"),
    "infrared.tif": (
        tiff(np.zeros((9, 9, 4), "u1"), photometric="rgb", extrasamples=[0]),
        "4 channels, expected 3",
    ),
    "lines.png": (holds(encode(".png", cv2.resize(PIXELS, (5000, 1)))), "max_aspect=200"),
    # Refused: damaged, or something else.
    "claims.npy": (holds(npy_header((10_000, 10_000, 9_600))), "truncated: 1000 of 960000000000"),
    "garbage.npy": (holds(b"\x93NUMPY\x01\0\x10\0{'descr': [[[[[[("), "a damaged npy header"),
    "archive.npy": (save_archive, "a zip or npz archive"),
    "empty.png": (holds(b""), "the file is empty"),
    "cut.npy": (lambda path: (np.save(path, PIXELS), os.truncate(path, 999)), "truncated: "),
    "cut.webp": (holds(encode(".webp")[:-9]), "truncated, or no image"),
    "checksum.png": (holds(patched(encode(".png"), 60, b"xxxx")), "damaged: checksum at byte"),
    "warnings.jpg": (holds(jpeg_with_warnings()), "Corrupt JPEG data"),
    "cut.tif": (lambda path: (tiff(PIXELS)(path), os.truncate(path, 999)), ""),
    **{name: (write, TOO_LARGE) for name, write in HUGE.items()},
    # Refused, and not opened.
    "pipe.png": (os.mkfifo, "no regular file"),
    "socket.jpg": (listen, "no regular file"),
    "device.tif": (lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "folder.png": (os.mkdir, "no regular file"),
    "dangling.png": (lambda path: path.symlink_to("nowhere.png"), "No such file"),
    "circle.jpg": (lambda path: path.symlink_to(path.name), "symbolic links"),
    "missing.jpg": (lambda path: None, "No such file"),
    os.fsdecode(b"latin-\xe9.png"): (holds(b"no image"), "truncated, or no image"),
}
