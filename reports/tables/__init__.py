"""Tables as data: columns, rows, and how a number or a foreign text is written."""
