"""Amazon ECR: sign in, make sure of the repository, push, verify by digest."""
