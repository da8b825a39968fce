"""`meshproof upgrade`: whether a change of the mesh is safe, and what it changes."""
