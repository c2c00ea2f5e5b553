"""Deployment: a checkpoint to the files that devices run, and proof that they compute what was trained."""
