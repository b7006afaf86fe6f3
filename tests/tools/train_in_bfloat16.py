"""tools/train.py as on a CPU that computes with bfloat16, which any CPU can emulate."""

import runpy
from pathlib import Path

from convnextv2.engine import cpu_amp

cpu_amp.computes_bfloat16 = lambda: True
runpy.run_path(str(Path(__file__).parents[2] / "tools/train.py"), run_name="__main__")
