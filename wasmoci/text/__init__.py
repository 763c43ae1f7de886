"""Text of somebody else: read with the place of whatever is wrong in it, and shown so that it can do no harm."""
