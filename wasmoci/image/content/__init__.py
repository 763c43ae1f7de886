"""What an image consists of, read from a layout or an archive: references, manifests, configs and blobs."""
