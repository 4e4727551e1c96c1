"""The engine without a daemon: reads the base's manifest, adds layers as tars, pushes only what is new."""
