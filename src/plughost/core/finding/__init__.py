"""What says that it is a plugin, and what is to be made of it; by metadata alone: nothing here imports a plugin.

sources (installed, folders, packaged, first_party) -> findings -> discovery -> candidates, each with a verdict;
``survey`` walks them for a whole configuration.
"""
