"""What builds images and runs containers. docker-py is imported here and in `shardyard.local` only."""
