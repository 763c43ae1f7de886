"""OCI images."""
