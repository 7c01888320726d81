"""Other libraries, mended where a package index pairs builds of them that do not fit."""

from __future__ import annotations

import sys

from torch import library as operators

_TORCHVISION_OPERATORS: list[operators.Library] = []


def mend_torchvision() -> None:
    """Make ``import torchvision`` work beside a CPU-only torch, or do nothing.

    A CPU-only torch with torchvision's CUDA build, which is what some package indexes pair, fails on import
    with "operator torchvision::nms does not exist", and every package that imports torchvision (clean-fid,
    torchmetrics) fails with it. Declaring the two operators that torchvision looks for is enough; nothing here
    calls them. Call it before the first import of such a package. Without torchvision it does nothing.

    >>> mend_torchvision()
    """
    try:
        import torchvision
    except ModuleNotFoundError:
        return
    except RuntimeError as error:
        if "torchvision::nms does not exist" not in str(error):
            raise
    else:
        return
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = operators.Library("torchvision", "FRAGMENT")
    library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _TORCHVISION_OPERATORS.append(library)  # a collected Library takes its operators with it
    import torchvision  # noqa: F401
