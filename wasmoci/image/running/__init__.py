"""Makes a bundle of an image: its runtime spec, its root file system, and what confines a native program of it."""
