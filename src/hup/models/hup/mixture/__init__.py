"""What is recommended of the preset `best`: a mixture of repeat, memory and explore."""
