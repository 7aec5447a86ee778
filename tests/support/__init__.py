"""What tests of all kinds stand on: worlds, servers, processes, virtual time."""
