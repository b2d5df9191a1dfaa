"""LightGBM: boosted trees that rank candidates by what is counted of them."""
