"""What tests of the cockpit's pages share."""

import pytest
from browser import chromium, require_chromium


@pytest.fixture(scope="module")
def driver():
    require_chromium()
    with chromium(width=1400, height=1000) as driver:
        yield driver
