"""From a report's sections to HTML, Markdown, the terminal, and files."""
