"""Drawing reports: text, HTML, Markdown, CSV, plots."""
