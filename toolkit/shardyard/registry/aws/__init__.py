"""ECR's control plane: one signed request a question, or botocore where signing in takes more than keys."""
