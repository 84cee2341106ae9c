"""What the tests of visual prompts share: each small prompt, with samples and points for it."""

import pytest
from seg.prompt_cases import CASES
from seg.prompt_fakes import points_of, scenes


@pytest.fixture(params=CASES)
def case(request):
    prompt = CASES[request.param]()
    samples = scenes(5, prompt.size)
    return request.param, prompt, samples, points_of(samples)
