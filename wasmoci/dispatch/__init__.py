"""Decides what runs a bundle: which engines there are, which one fits, what the settings and the caller say."""
