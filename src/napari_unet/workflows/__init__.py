"""Train and predict: the one path for the viewer, the command line and Python."""

from napari_unet.generators import exhaust
from napari_unet.workflows.blocks import TileDone
from napari_unet.workflows.prediction import Prediction, predict
from napari_unet.workflows.stored import (
    StoredPrediction,
    StoreReady,
    predict_to_store,
)
from napari_unet.workflows.training import train

__all__ = [
    "Prediction",
    "StoreReady",
    "StoredPrediction",
    "TileDone",
    "exhaust",
    "predict",
    "predict_to_store",
    "train",
]
