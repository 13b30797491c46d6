"""Label files of MATLAB, as COCO-Stuff 10k has them."""

from io import BytesIO
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from segkit.data.io import Array, read_bytes
from segkit.errors import DatasetError


def read_mat(path: Path, key: str = "S") -> Array:
    """Reads the labels in a MATLAB file.

    Args:
        path: the file.
        key: name of the variable that holds them.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        DatasetError: the file is missing, damaged, or holds no such labels.
    """
    data = read_bytes(path)
    try:
        variables = loadmat(BytesIO(data), variable_names=[key])
    except (MatReadError, NotImplementedError, ValueError, TypeError, OSError, EOFError, IndexError) as error:
        raise DatasetError(f"{path}: is damaged or no MATLAB file ({error})") from None
    label = variables.get(key)
    if not isinstance(label, np.ndarray) or label.ndim != 2 or label.dtype.kind not in "uif":
        raise DatasetError(f"{path}: holds no matrix {key!r} of labels")
    if label.size and (label.min() < 0 or label.max() > 65535 or (label != np.floor(label)).any()):
        raise DatasetError(f"{path}: labels must be whole numbers from 0 to 65535")
    return label if label.dtype in (np.uint8, np.uint16) else label.astype(np.uint16)
