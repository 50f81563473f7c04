"""An agent that tidies logs: it sees an environment, and only an environment."""

from plumb_client import Session


def tidy(shell: Session, folder: str) -> list[str]:
    """Removes empty logs; returns the names of those that are left."""
    shell.step(f"find {folder} -name '*.log' -empty -delete")
    return shell.step(f"ls {folder}").text.split()


def count_errors(db: Session) -> dict[str, int]:
    """Counts the errors of each service."""
    seen = db.step("SELECT service, COUNT(*) FROM entries WHERE level = 'ERROR' GROUP BY service")
    return {str(service): int(str(count)) for service, count in seen.rows}
