"""The report of an upgrade: what a terminal shows meanwhile, and the files that are left.

document   all of it as JSON, as ``upgrade.schema.json`` describes it; page, junit and markdown are made of it
timeline   the picture
page       one page for a browser, with the picture in it
junit      for a build server
markdown   for a pull request
writing    these as files
lines      for a terminal
"""

from meshproof.upgrade.report.lines import Lines
from meshproof.upgrade.report.writing import write

__all__ = ["Lines", "write"]
