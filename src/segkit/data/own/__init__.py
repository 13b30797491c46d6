"""A folder of images and masks, understood: what belongs together, what the values mean, how to train on it."""
