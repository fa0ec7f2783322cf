"""What the scripts beside this one that draw tables of correlations share."""


def associations(rows: list[dict], of: str) -> dict[tuple[str, str], dict[str, dict]]:
    """Rank correlations by what they are of, a key of the rows, and with what; of each, the row by what was held."""
    found: dict[tuple[str, str], dict[str, dict]] = {}
    for row in rows:
        if row["quantity"] == "association":
            found.setdefault((row[of], row["with"]), {})[row["held"]] = row
    return found


def cell(text: str) -> str:
    """Text in a cell of a Markdown table: a bar in it would end the cell."""
    return text.replace("|", "\\|")
