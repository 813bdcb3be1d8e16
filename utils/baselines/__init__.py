"""The classical opponents that every model is held against."""
