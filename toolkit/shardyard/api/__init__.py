"""One public function a command, with the command's name and options: what ``import shardyard`` gives."""
