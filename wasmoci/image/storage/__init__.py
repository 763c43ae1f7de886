"""Stores images on the local machine: the store, its layout, and the root file systems of containers."""
