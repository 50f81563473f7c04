"""Environments that are not real: models that play them, baselines, and recordings."""

NO_BACKENDS_IN = ("chat",)
"""What the registry need not look into: this takes most of a second, and an extra, to import."""
