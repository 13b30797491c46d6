"""Features to logits, one head a file."""
