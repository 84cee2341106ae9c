"""What the tests of the report's page share: two records, a report and its page."""

import pytest
from bench.browser import opened
from bench.synthetic import mixed_record

from zoo_opt.bench.report.html import write_report


@pytest.fixture(scope="session")
def records():
    """A result and an earlier one, a little worse."""
    return mixed_record(), mixed_record(seed=1, shift=-0.1)


@pytest.fixture(scope="session")
def report(records, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    write_report(records[0], path)
    return path


@pytest.fixture
def page(browser, report):
    with opened(browser, report) as page:
        yield page
