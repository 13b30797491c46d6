"""A trained model at work: whole images, windows, several looks, and the predictor for everyday use."""

from segkit.inference.predict import predict_batch, predict_classes, predict_probs, predict_scores

__all__ = ["predict_batch", "predict_classes", "predict_probs", "predict_scores"]
