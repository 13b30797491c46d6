"""Where else the records of a log go, beside the run folder's JSON lines: TensorBoard, W&B, MLflow."""
