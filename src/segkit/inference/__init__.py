"""A trained model at work: whole images, windows, several looks, and the predictor for everyday use."""

from segkit.inference.options import inference_options
from segkit.inference.predict import labels_of, predict_batch, predict_classes, predict_probs, predict_scores

__all__ = ["inference_options", "labels_of", "predict_batch", "predict_classes", "predict_probs", "predict_scores"]
