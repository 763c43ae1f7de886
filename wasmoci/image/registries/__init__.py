"""Talks to registries: the distribution API, authentication, mirrors and limits on transfers."""
