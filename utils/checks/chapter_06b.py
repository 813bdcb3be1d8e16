"""Checks of chapter 6b, images."""
