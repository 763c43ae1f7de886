"""Contains the engine handlers, one module for each engine, and their contract."""
