"""What heads share that predict a set of masks, each with a class: truth, matching, losses, scores."""
