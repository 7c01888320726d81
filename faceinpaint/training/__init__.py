"""Training: methods, runs, and the loop."""
