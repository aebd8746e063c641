"""What searches came to, for pipelines: Markdown, JUnit XML and SARIF, as pure functions of reports."""

from actors.report.cases import Case, Summary, of_fuzz, of_stress
from actors.report.junit import junit
from actors.report.markdown import markdown
from actors.report.sarif import sarif

__all__ = ["Case", "Summary", "junit", "markdown", "of_fuzz", "of_stress", "sarif"]
