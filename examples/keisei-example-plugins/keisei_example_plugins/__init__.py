"""Example plugins for keisei."""
