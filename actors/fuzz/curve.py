"""The coverage of a campaign as a picture: features over programs, and when each failure was found."""

from __future__ import annotations

from html import escape

from actors.fuzz.report import FuzzReport

WIDTH, HEIGHT = 760, 420
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 48
STYLE = """text{font:12px sans-serif;fill:#333}.small{font-size:10px}.grid{stroke:#ddd}
.curve{fill:none;stroke:#1f6feb;stroke-width:2}.known{fill:#d29922}.new{fill:#d1242f}.title{font-size:14px}"""


def curve_svg(report: FuzzReport) -> str:
    """An SVG document."""
    points = [(0, 0), *((programs, features) for programs, _, _, features in report.curve)]
    most_programs = max(1, *(programs for programs, _ in points))
    most_features = max(1, *(features for _, features in points))

    def at(programs: float, features: float) -> tuple[float, float]:
        x = LEFT + (WIDTH - LEFT - RIGHT) * programs / most_programs
        return round(x, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * features / most_features, 1)

    line = " ".join(f"{x},{y}" for x, y in (at(*point) for point in points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="22">{escape(title(report))}</text>',
    ]
    for part in range(5):
        x, y = at(most_programs * part / 4, most_features * part / 4)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}"/>')
        parts.append(
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{most_features * part // 4:,}</text>'
        )
        parts.append(
            f'<text x="{x}" y="{HEIGHT - 28}" text-anchor="middle">{most_programs * part // 4:,}</text>'
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">programs</text>'
    )
    parts.append(f'<polyline class="curve" points="{line}"/>')
    parts += marks(report, points, at)
    return "\n".join([*parts, "</svg>", ""])


def title(report: FuzzReport) -> str:
    """What the picture shows."""
    features = sum(report.features.values())
    found = f"{len(report.findings)} failures (dots)"
    return f"{report.kernel}, seed {report.seed}: {features:,} features covered, {found}"


def marks(report: FuzzReport, points: list[tuple[int, int]], at) -> list[str]:  # type: ignore[no-untyped-def]
    """A mark where each failure was found, with its name on hovering."""
    made = []
    stacked: dict[int, int] = {}
    for finding in report.findings:
        height = next(
            (features for programs, features in points if programs >= finding.programs), points[-1][1]
        )
        x, y = at(finding.programs, height)
        above = stacked[finding.programs] = stacked.get(finding.programs, -1) + 1
        kind = "known" if finding.known else "new"
        made.append(
            f'<circle class="{kind}" cx="{x}" cy="{round(y - 9 * above, 1)}" r="4">'
            f"<title>{escape(finding.label)}, {escape(finding.invariant or finding.verdict)}</title></circle>"
        )
    return made


__all__ = ["curve_svg"]
