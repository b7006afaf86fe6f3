"""Images as networks take them, a plane for each channel.

OpenCV writes planes ten times as fast as torch and numpy, which move each value by itself.
"""

import cv2
import numpy as np


def to_planes(image: np.ndarray) -> np.ndarray:
    """The same image (H, W, C), of which each channel is one piece of memory.

    Args:
        image: (H, W, C), or (H, W) of one channel; views that run backwards, too.
    """
    image = unmirror(image if image.ndim == 3 else image[..., None])
    planes = np.empty((image.shape[2], *image.shape[:2]), image.dtype)
    cv2.split(image, list(planes))
    return planes.transpose(1, 2, 0)


def unmirror(image: np.ndarray) -> np.ndarray:
    """The same pixels, one after the other in memory.

    mmcv's ``RandomFlip`` leaves a view that runs backwards; numpy would copy it for each call of
    OpenCV, pixel by pixel.
    """
    for axis in (0, 1):
        if image.strides[axis] < 0:
            image = cv2.flip(np.flip(image, axis), axis).reshape(image.shape)
    return np.ascontiguousarray(image)
