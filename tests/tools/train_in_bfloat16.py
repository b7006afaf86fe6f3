"""tools/train.py where a GPU is feigned: mmengine wants one for AMP, CPUs have bfloat16 too."""

import runpy
from pathlib import Path

from mmengine.optim.optimizer import amp_optimizer_wrapper

from convnextv2.engine import processes

processes.do_without_gpu = lambda cfg: None
amp_optimizer_wrapper.is_cuda_available = lambda: True
runpy.run_path(str(Path(__file__).parents[2] / "tools/train.py"), run_name="__main__")
