"""How results are shown and written. What they are worth is decided in ``posture``, which knows nothing of this.

terminal       tables; columns has cells beside each other
page           a page for a browser, of the template ``page.html.j2``
templates      how those are read that make pages and pictures; ``page.css`` is the style of all pages
wording        what both write in the same words
junit          rows as JUnit's XML, for a build server
document       the JSON that ``scan --save`` writes, as ``posture.schema.json`` describes it
document_reading, document_schema   reading it back, and whether it is as its schema says
"""
