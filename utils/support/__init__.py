"""Validation, files, batches: what any room may use."""
