"""The testbed: a Docker engine, two registries that answer as ECR and moto, in namespaces of their own."""
