"""Steps on whole training batches."""
