"""The SageMaker contract on this machine: one container a host, or one plain process a host."""
