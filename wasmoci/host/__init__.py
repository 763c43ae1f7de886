"""Handles files, processes and users of the host safely where other users can't be trusted."""
