"""Measuring rows, and the table that compares them."""
