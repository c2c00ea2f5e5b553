"""One training after the other with other values in the recipe, and one table that says which did best."""
