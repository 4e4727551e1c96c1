"""Data parallelism: equal start values, and gradients averaged over the replicas after a backward."""
