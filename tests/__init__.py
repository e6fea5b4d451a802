"""The tests; what their helpers assert is explained as what they assert themselves."""

import pytest

pytest.register_assert_rewrite("tests.support")
