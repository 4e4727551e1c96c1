"""Where the documentation puts activation checkpointing."""
