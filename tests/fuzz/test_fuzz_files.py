"""The short form of ``python -m tests.fuzz.files``: damaged run files, opened by every reader."""

from __future__ import annotations

import pytest
from fuzz.files import run_cases


@pytest.mark.filterwarnings("ignore:the writer of")
def test_damaged_run_files_get_one_message_and_stay_as_they_are(tmp_path):
    seed = 1  # fixed, so that a change of the code is what makes it fail
    result = run_cases(60, seed, tmp_path)
    assert not result.failures, "\n".join(
        [f"seed {seed}", *result.tracebacks, *result.slow, *result.changed]
    )
    assert result.refused > 20  # damage was met, not avoided
