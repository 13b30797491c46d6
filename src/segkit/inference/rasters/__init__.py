"""Images larger than memory: read, segmented and written by windows."""
