"""What is made of checkpoints for use elsewhere."""
