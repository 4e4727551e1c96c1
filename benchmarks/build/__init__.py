"""Edit of the script to image URI: both engines against `docker build && docker push`."""
