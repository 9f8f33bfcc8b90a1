"""Recorded blocks in, views out: the same code for a live run and for a file.

Takes  blocks, live from the ring or from a reader; options.
Gives  changes to views, blocks to files.
Never  captures, or knows what a frontend does with a feed.

build.py makes the views that options ask for, pipeline.py decodes and feeds them, parallel.py does so in several
processes, select.py says which packets belong to what is shown.
"""
