"""Pages of lists: how large they are."""

from plumb_backends.errors import InvalidInput

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


def page_size(asked: int) -> int:
    """How many there shall be on a page.

    Raises:
        InvalidInput: So many cannot be had.
    """
    if not 0 <= asked <= LARGEST_PAGE:
        raise InvalidInput(
            f"page_size is {asked}; use 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}"
        )
    return asked or DEFAULT_PAGE
