"""How the service is, for those who ask over HTTP, and for those who wait for a ping."""
