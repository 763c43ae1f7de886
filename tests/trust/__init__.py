"""Attacks: by a guest, an image, a registry, another user of the host; each of them fails."""
