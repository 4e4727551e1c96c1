"""The hand-off of an image to SageMaker."""
