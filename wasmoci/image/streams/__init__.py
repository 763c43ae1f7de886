"""The bytes of images: archives, compression, digests and the limits on what they unpack to."""
