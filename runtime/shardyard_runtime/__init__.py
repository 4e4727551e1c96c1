"""What runs inside the training image."""

__version__ = "0.1.0"
