"""Weights that a run starts from: published ones, or another job's."""
