"""Namespace shared with whatever else the base image installs under ``smdistributed`` (dataparallel, for one)."""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
