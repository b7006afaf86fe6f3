# bash tools/dist_train.sh configs/classification/classifier_convnextv2-large_32xb128-300e-supervised_in1k.py 8
# Batch 4096 = 32 GPUs x 128 images; on 8 GPUs the same by optim_wrapper.accumulative_counts=4.
# Published: top-1 84.5 (paper, Table 14). Not run here.
# From scratch, so that the head begins at its usual size; the recipe is not in the paper, see
# the schedule. Drop path is that of ConvNeXt V1.
_base_ = [
    '../_base_/models/classifier_convnextv2.py',
    '../_base_/datasets/imagenet_1k.py',
    '../_base_/schedules/in1k-supervised_300e.py',
    '../_base_/runtime/classification_runtime.py',
]

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.5),
    head_init_scale=1.0,
    label_smoothing=0.1,
    mixing=dict(type='convnextv2.MixBatch', mixup_alpha=0.8, cutmix_alpha=1.0),
)
