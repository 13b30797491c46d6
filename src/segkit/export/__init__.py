"""Trained models for other runtimes: ONNX, torch.export, AOTInductor, TorchScript, TensorRT, INT8."""
