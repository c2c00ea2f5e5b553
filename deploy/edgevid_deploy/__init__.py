"""Deployment: export, quantise, verify, benchmark."""
