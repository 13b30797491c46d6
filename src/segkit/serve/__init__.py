"""A trained model behind HTTP: a page to drop images on, and predictions for programs."""
