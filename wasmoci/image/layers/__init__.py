"""Applies the layers of an image to a root file system, and writes layers."""
