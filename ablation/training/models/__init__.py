"""What is done to the networks of image classifiers: weights are initialised, read, and counted."""
