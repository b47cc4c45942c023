"""Logging and files."""
