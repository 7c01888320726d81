"""Repairing photographs: faces found, framed, repaired and put back."""
