"""The part of the house that decides; it has no socket, no clock, no lock and no framework."""
