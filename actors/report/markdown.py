"""A summary as Markdown, for people who look at a pipeline; also what GitHub shows as a step's summary."""

from __future__ import annotations

from actors.report.cases import Case, Summary, many, sentence_of

LIMIT_BYTES = 1 << 20
"""What GitHub takes of a step's summary."""

STORIES = 20
"""Failures that are told at length."""


def markdown(summary: Summary) -> str:
    """The summary: what broke first, all rows after it; never longer than a step's summary may be."""
    failures = sorted(summary.failures, key=lambda case: (bool(case.known_as), case.expected))
    parts = [f"## {summary.title}\n\n{summary.told}\n", table(summary.cases)]
    parts += [story(case) for case in failures[:STORIES]]
    if len(failures) > STORIES:
        parts.append(f"And {many(len(failures) - STORIES, 'more failure')}.\n")
    kept, size = [], 0
    for part in parts:
        size += len(part.encode()) + 1
        if size > LIMIT_BYTES - 100:
            kept.append("The rest is left out; the other files of this run have it.\n")
            break
        kept.append(part)
    return "\n".join(kept)


def table(cases: tuple[Case, ...]) -> str:
    """All cases, one a row."""
    head = "| program | kernel | orders | covered | result |\n| --- | --- | ---: | --- | --- |\n"
    rows = (
        (
            case.name,
            case.kernel,
            f"{case.orders:,}" if case.orders else "",
            "all" if case.covered else "",
            outcome(case),
        )
        for case in cases
    )
    return head + "".join("| " + " | ".join(map(cell, row)) + " |\n" for row in rows)


def outcome(case: Case) -> str:
    """What came out, in a few words."""
    if not case.rule:
        return "ok"
    words = [case.rule, case.known]
    words += ["as expected"] if case.expected else []
    words += ["fails no more"] if case.baseline == "absent" else []
    return ", ".join(filter(None, words))


def story(case: Case) -> str:
    """One failure at length."""
    lines = [f"### {case.rule} in {case.name} on {case.kernel}", "", f"*{sentence_of(case.rule)}*", ""]
    lines += [case.message, ""]
    lines += [f"- {fact}" for fact in case.facts] + [""] * bool(case.facts)
    if case.known_as:
        lines += [f"Known: {', '.join(f'`{slug}`' for slug in case.known_as)}.", ""]
    if case.table:
        fence = fence_of(case.table)
        told = [
            "<details><summary>the steps that matter</summary>",
            "",
            f"{fence}text",
            *case.table,
            fence,
            "",
        ]
        lines += [*told, "</details>", ""]
    if case.command:
        lines += ["```console", f"$ {case.command}", "```", ""]
    return "\n".join(lines)


def fence_of(lines: tuple[str, ...]) -> str:
    """A fence that the text does not end."""
    return "````" if any("```" in line for line in lines) else "```"


def cell(text: str) -> str:
    """Text that stays in its cell."""
    return " ".join(text.replace("|", "\\|").split())


__all__ = ["LIMIT_BYTES", "markdown"]
