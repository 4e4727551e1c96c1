"""Saving and loading: single files (``files``), and checkpoints that a crash at any moment cannot tear.

``save`` and ``resume`` are the API; ``layout`` names the files, ``transaction`` makes them appear all at once,
``sites`` says which ranks share a folder, ``together`` keeps ranks in step.
"""
