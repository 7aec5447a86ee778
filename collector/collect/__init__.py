"""One account at work: a day of one meter, the workers that collect days, and what stops them."""
