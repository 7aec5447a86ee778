"""What the tests see of the code: branches that they take, mistakes in it that they notice."""
