"""Matches and measurements of strength."""
