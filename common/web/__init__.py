"""Pages that a program serves to a browser, and the addresses at which it is found."""

from common.door import open_door

__getattr__, __dir__, __all__ = open_door(
    __name__,
    {
        "addresses": (
            "MASK",
            "listen_address",
            "masked",
            "shown",
            "split_login",
            "tcp_address",
        ),
        "network": (
            "addresses_of",
            "check_host",
            "outer_address",
        ),
        "serving": (
            "LocalHandler",
            "LocalServer",
            "PAGE_STYLE",
            "Refused",
            "open_page",
        ),
    },
)
