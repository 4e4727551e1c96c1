"""Questions to AWS, registries and this machine before anything is built: ``check --online``."""
