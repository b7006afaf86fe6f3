# python tools/train.py configs/classification/classifier_convnextv2-micro_flowers-5pct.py
# The same with every 20th image, of all classes alike. Not in the paper; figures:
# docs/benchmarks.md.
_base_ = './classifier_convnextv2-micro_flowers.py'

train_dataloader = dict(dataset=dict(indices=list(range(0, 3443, 20))))
