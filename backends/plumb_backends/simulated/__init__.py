"""Environments that are not real: models that play them, baselines, and recordings."""
