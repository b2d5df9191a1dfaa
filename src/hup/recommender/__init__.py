"""The contract of a recommender, and what every kind of it is made of."""
