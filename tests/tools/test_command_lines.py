"""Whatever is wrong with a command line is said in a sentence, without a traceback."""

import os
import shlex

import pytest
from processes import config, run
from wrong_command_lines import all_lines, write_files

pytestmark = pytest.mark.slow

# `SHARE=1 pytest tests/tools/test_command_lines.py` tries all, in some 90 seconds.
SHARE = int(os.environ.get("SHARE", 12))


@pytest.fixture(scope="module")
def wrong(cwd, untrained):
    """Runs a command line in a folder with the files that it names."""
    configs = {"DET": "mask-rcnn", "SEG": "upernet", "PRE": "fcmae-by-iter"}
    words = {word: str(config(name)) for word, name in configs.items()}
    write_files(cwd, words["DET"], words["SEG"])
    words |= {"WEIGHTS": untrained("mask-rcnn"), "OTHER": untrained("upernet")}

    def start(line, **environment):
        script, *arguments = (words.get(part, part) for part in shlex.split(line))
        return run(cwd, script, *arguments, **environment)

    return start


@pytest.mark.parametrize(("line", "word"), list(all_lines().items())[::SHARE])
def test_a_wrong_command_line_is_answered_in_a_sentence(wrong, line, word):
    status, output = wrong(line)
    assert status in (1, 2), output
    assert "Traceback" not in output
    assert word in output
    sentence = output[output.find("error: ") :]
    assert len(sentence.splitlines()) < 12, sentence
