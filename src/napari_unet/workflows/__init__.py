"""Train and predict: the one path for the viewer, the command line and Python."""

from napari_unet.workflows.events import exhaust
from napari_unet.workflows.prediction import Prediction, TileDone, predict
from napari_unet.workflows.training import train

__all__ = ["Prediction", "TileDone", "exhaust", "predict", "train"]
