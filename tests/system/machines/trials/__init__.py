"""What is tried in a booted machine; these modules run inside it, on its Python, with nothing installed."""
