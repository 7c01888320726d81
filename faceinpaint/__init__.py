"""faceinpaint: face inpainting with regional styles, its baselines, and the protocol that compares them."""

__version__ = "0.1.0"
