"""The whole program: processes, packages, machines."""
