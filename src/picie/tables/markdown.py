"""A benchmark as Markdown."""

from picie.tables.document import Document, Section, Table

__all__ = ["to_markdown"]


def to_markdown(document: Document) -> str:
    """Headings, pipe tables and notes; curves and single runs are left to the HTML page."""
    parts = [f"# {document.title}"]
    for section in document.sections:
        parts += _section(section)
    parts += ["## Systems", _table(document.systems), *document.notes]
    return "\n\n".join(parts) + "\n"


def _section(section: Section) -> list[str]:
    parts = [f"## {section.title}", *section.protocol, _table(section.scores), *section.sources]
    if section.correlations is not None:
        parts += ["Label-free numbers against mIoU:", _table(section.correlations)]
    return parts


def _table(table: Table) -> str:
    rule = ["---" if n < table.text_columns else "--:" for n in range(len(table.columns))]
    rows = []
    for number, row in enumerate(table.rows):
        cells = [_cell(text) for text in row]
        if number in table.foreign:
            cells = [f"*{cell}*" if cell else "" for cell in cells]
        rows.append(cells)
    lines = [[_cell(text) for text in table.columns], rule, *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ")
